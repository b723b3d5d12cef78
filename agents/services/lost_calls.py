"""Calls that nobody can be asked about, as a person decides them: the ledger settles, the run hears what it cost."""

from agents.services import runs
from budgets.models import Hold, HoldDecision
from budgets.services import deciding
from mcc.core.models import User


def decide(hold: Hold, verdict: str, *, reason: str, user: User, amount_nanousd: int | None = None) -> HoldDecision:
    """Do what `deciding.decide` does."""
    return deciding.decide(
        hold, verdict, reason=reason, user=user, amount_nanousd=amount_nanousd, charged=runs.add_cost
    )
