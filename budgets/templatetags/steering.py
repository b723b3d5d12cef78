"""What people read about stops, bills and overruns. Loaded everywhere (``builtins`` in the settings)."""

from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from budgets import access, queries, reading
from budgets.models import Account
from budgets.queries import Standing, Totals
from mcc.core.models import User
from mcc.core.templatetags import look

register = template.Library()


@register.inclusion_tag("budgets/_stop_facts.html")
def stop_facts(account: Account) -> dict[str, Any]:
    """``{% stop_facts project.account %}``: by whom, since when, how long it took, what is at risk. Two queries."""
    return {"account": account, "stop": account.stop, "at_risk_nanousd": queries.at_risk_nanousd(account)}


@register.simple_tag
def sum_cells(sums: Totals) -> SafeString:
    """``{% sum_cells group.totals %}``: the cells of a row. Written here, for a page has hundreds of them."""
    tokens = (sums.input_tokens, sums.cached_tokens, sums.output_tokens, sums.reasoning_tokens)
    return format_html(
        '<td class="r">{}</td>{}<td class="r"><b title="{}">{}</b></td>',
        sums.generations,
        format_html_join("", '<td class="r">{}</td>', ((look.tokens(count),) for count in tokens)),
        look.exact_money(sums.cost_nanousd),
        look.money(sums.cost_nanousd),
    )


@register.inclusion_tag("budgets/_bill.html")
def bill_panel(user: User) -> dict[str, Any]:
    """``{% bill_panel request.user %}``: the book against the bills, for administrators. Four queries."""
    return {"bill": reading.bill() if user.is_superuser else None}


@register.inclusion_tag("budgets/_worries.html")
def money_worries(user: User) -> dict[str, Any]:
    """``{% money_worries request.user %}``: what is wrong with the money, for who decides. Two queries."""
    return {"worries": reading.worries() if access.decides(user) else None}


@register.inclusion_tag("budgets/_overruns.html")
def overruns(standing: Standing) -> dict[str, Any]:
    """``{% overruns standing %}``: calls of the period that cost more than was set aside for them. One query."""
    calls, amount = queries.overruns(standing.limit.account, standing.period_start, standing.period_end)
    return {"standing": standing, "calls": calls, "amount_nanousd": amount}
