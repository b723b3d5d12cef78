"""Jobs: doorbells and the clock."""

from mcc.core.queue import enqueue
from projects.models import Issue
from projects.services import money, scheduling


def advance(issue_id: int) -> None:
    """Look at one issue and do what can be done now."""
    if Issue.objects.filter(pk=issue_id).exists():
        scheduling.advance(issue_id)


def settle_shortage(request_id: int) -> None:
    """Act on an answer about money."""
    for request in money.unsettled().filter(pk=request_id):
        money.settle(request)


def advance_all() -> None:
    """Ring for every issue at work, in the order of their priority: whatever a lost doorbell missed happens now."""
    for request in money.unsettled():
        money.settle(request)
    money.wake_waiting()
    at_work = Issue.objects.open().filter(started_at__isnull=False)
    for issue_id in at_work.order_by("-priority", "pk").values_list("pk", flat=True):
        enqueue("projects.tasks.advance", issue_id)
