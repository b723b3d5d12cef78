"""Jobs: doorbells and the clock."""

import time
from typing import Final

from mcc.core.queue import enqueue
from projects.models import Issue
from projects.services import money, rest, scheduling, setups, supply

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
        money.settle(request)
    money.wake_waiting()
    supply.ask()
    setups.tidy()
    at_work = Issue.objects.open().filter(started_at__isnull=False)
    for issue_id in at_work.order_by("-priority", "pk").values_list("pk", flat=True):
        enqueue("projects.tasks.advance", issue_id)
