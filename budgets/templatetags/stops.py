"""What people read about a stop. Loaded everywhere (``builtins`` in the settings)."""

from typing import Any

from django import template

from budgets import queries
from budgets.models import Account

register = template.Library()


@register.inclusion_tag("budgets/_stop_facts.html")
def stop_facts(account: Account) -> dict[str, Any]:
    """``{% stop_facts project.account %}``: by whom, since when, how long it took, what is at risk. Two queries."""
    return {"account": account, "stop": account.stop, "at_risk_nanousd": queries.at_risk_nanousd(account)}
