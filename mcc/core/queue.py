"""The doorbell: the row is the truth, a job lost or rung twice must do no harm."""

from functools import partial

from django.db import transaction
from django_q.tasks import async_task


def enqueue(task: str, *keys: int | str, timeout_s: int = 60) -> None:
    """Ring the workers with ``task`` (dotted path) once this transaction commits.

    ``keys`` are primary keys or names; the worker reads the row as it is by then. ``timeout_s`` must stay
    below ``Q_CLUSTER["retry"]``, or django-q2 delivers the task again while the first is still running.
    """
    transaction.on_commit(partial(async_task, task, *keys, q_options={"timeout": timeout_s}))
