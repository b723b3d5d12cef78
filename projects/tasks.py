"""Jobs: doorbells and the clock."""

import logging
import time
from typing import Final

from django.db import DataError

from mcc.core.errors import DomainError
from mcc.core.queue import enqueue
from projects.models import Issue, Request
from projects.services import money, rest, scheduling, setups, supply

logger = logging.getLogger(__name__)

LOOK_S: Final = 5.0
PAUSE_S: Final = 0.1


def advance(issue_id: int) -> None:
    """Look at one issue and do what can be done now."""
    if Issue.objects.filter(pk=issue_id).exists():
        scheduling.advance(issue_id)


def settle_shortage(request_id: int) -> None:
    """Act on an answer about money."""
    for request in money.unsettled().filter(pk=request_id):
        money.settle(request)


def _settle(request: Request) -> None:
    """Act on an answer. One that cannot be carried out must not keep all others waiting, nor the clock."""
    try:
        money.settle(request)
    except (DomainError, OverflowError, DataError):
        logger.exception("the answer to question %s cannot be carried out", request.pk)


def look_at_shortages() -> None:
    """Let go on who has enough money by now, and ask only about what is still short."""
    money.look_again()


def see_stops_out() -> None:
    """Look at the stops under way until all that they cover has come to rest; commands that may end can take longer."""
    until = time.monotonic() + LOOK_S
    while True:
        moving = [freeze for freeze in rest.unfinished() if not rest.measure(freeze)]
        if not moving or time.monotonic() > until:
            return
        time.sleep(PAUSE_S)


def advance_all() -> None:
    """Ring for every issue at work, in the order of their priority: whatever a lost doorbell missed happens now."""
    for freeze in rest.unfinished():
        rest.measure(freeze)
    for request in money.unsettled():
        _settle(request)
    money.wake_waiting()
    supply.ask()
    setups.tidy()
    at_work = Issue.objects.open().filter(started_at__isnull=False)
    for issue_id in at_work.order_by("-priority", "pk").values_list("pk", flat=True):
        enqueue("projects.tasks.advance", issue_id)
