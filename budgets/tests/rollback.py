from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction


@contextmanager
def rolled_back() -> Iterator[None]:
    """Undo what one example did. As in Django's own TestCase, what has to commit takes this transaction for that."""
    scope = transaction.atomic()
    scope._from_testcase = True
    with scope:
        yield
        transaction.set_rollback(True)
