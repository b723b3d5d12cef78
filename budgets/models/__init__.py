from budgets.models.account import Account, Alert, Bucket, Limit
from budgets.models.decision import HoldDecision
from budgets.models.freeze import Freeze
from budgets.models.ledger import Hold, HoldLine, HoldQuerySet, Posting, Usage
from budgets.models.price import Price, PriceVersion
from budgets.models.reconciliation import Reconciliation, ReconciliationLine
from budgets.models.rollup import Calendar, DaySpend, TotalSpend, Unfolded

__all__ = [
    "Account",
    "Alert",
    "Bucket",
    "Calendar",
    "DaySpend",
    "Freeze",
    "Hold",
    "HoldDecision",
    "HoldLine",
    "HoldQuerySet",
    "Limit",
    "Posting",
    "Price",
    "PriceVersion",
    "Reconciliation",
    "ReconciliationLine",
    "TotalSpend",
    "Unfolded",
    "Usage",
]
