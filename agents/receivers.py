"""The engine's answers to news of the ledger."""

from django.dispatch import receiver

from agents.models import Provider
from budgets.models import Account
from budgets.signals import limit_changed
from mcc.core.queue import enqueue


@receiver(limit_changed, dispatch_uid="agents.follow_walls")
def follow_walls(sender: type[Account], account: Account, **kwargs: object) -> None:
    """Let the limits that providers keep on our keys follow the company's."""
    if account.kind == Account.Kind.GLOBAL and Provider.objects.filter(wall_period__gt="").exists():
        enqueue("agents.tasks.follow_walls")
