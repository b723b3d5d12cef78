from budgets.models.account import Account, Alert, Bucket, Limit
from budgets.models.ledger import Hold, HoldLine, Posting, Usage
from budgets.models.price import Price

__all__ = ["Account", "Alert", "Bucket", "Hold", "HoldLine", "Limit", "Posting", "Price", "Usage"]
