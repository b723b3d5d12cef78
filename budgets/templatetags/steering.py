"""What people read about stops, bills and overruns. Loaded everywhere (``builtins`` in the settings)."""

from typing import Any

from django import template
from django.template.defaultfilters import capfirst
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from budgets import access, queries, reading
from budgets.models import Account, Usage
from budgets.queries import Standing, Totals
from budgets.spending import AccountRow
from mcc.core import pages
from mcc.core.models import User
from mcc.core.templatetags import look

register = template.Library()
ONLY_WARNS = mark_safe(' <span class="tag">only warns</span>')
STOPPED = mark_safe(' <span class="tag bad">stopped</span>')
NOT_TOLD = {
    source.value: format_html('<span class="sub"> {}</span>', words)
    for source, words in (
        (Usage.Source.GENERATION, "looked up"),
        (Usage.Source.PRICE_LIST, "by list"),
        (Usage.Source.PRESUMED, "presumed"),
    )
}
"""Where the cost is from, when the response did not tell it."""
MOST_CROSSED = 4
UNLIMITED = mark_safe('<span class="sub">No limit of its own</span>')


@register.inclusion_tag("budgets/_stop_facts.html")
def stop_facts(account: Account) -> dict[str, Any]:
    """``{% stop_facts project.account %}``: by whom, since when, how long it took, what is at risk. Two queries."""
    return {"account": account, "stop": account.stop, "at_risk_nanousd": queries.at_risk_nanousd(account)}


@register.simple_tag
def standing_bar(standing: Standing) -> SafeString:
    """``{% standing_bar standing %}``: what is spent of a limit, in words and as a bar."""
    return format_html(
        '<div><span class="t2">{}{}</span><span class="num"><b>{}</b> of {}</span></div>{}',
        capfirst(standing.words),
        "" if standing.blocks else ONLY_WARNS,
        look.money(standing.spent_nanousd),
        look.short_money(standing.amount_nanousd),
        look.meter(
            standing.spent_nanousd,
            standing.amount_nanousd,
            standing.words,
            standing.taken_nanousd,
            float(standing.limit.warn_ratio),
            standing.forecast_nanousd,
        ),
    )


@register.simple_tag
def account_line(row: AccountRow) -> SafeString:
    """``{% account_line row %}``: an account with its limits in a list. Written here, for a page has dozens of them."""
    bars = format_html_join("", '<div class="brow">{}</div>', ((standing_bar(each),) for each in row.standings))
    return format_html(
        '<div class="line acct"><h3><a href="{}" data-row>{}</a>{}</h3><span class="num">{}</span>'
        '<div class="meters">{}</div></div>',
        pages.address("budgets:account", row.account.pk),
        row.account.title,
        STOPPED if row.account.is_frozen else "",
        look.money(row.spent_nanousd),
        bars or UNLIMITED,
    )


@register.simple_tag
def sum_cells(sums: Totals) -> SafeString:
    """``{% sum_cells group.totals %}``: the cells of a row. Written here, for a page has hundreds of them."""
    return format_html(
        '<td class="r">{}</td><td class="r">{}</td><td class="r">{}</td><td class="r">{}</td><td class="r">{}</td>'
        '<td class="r"><b title="{}">{}</b></td>',
        sums.generations,
        look.tokens(sums.input_tokens),
        look.tokens(sums.cached_tokens),
        look.tokens(sums.output_tokens),
        look.tokens(sums.reasoning_tokens),
        look.exact_money(sums.cost_nanousd),
        look.money(sums.cost_nanousd),
    )


@register.simple_tag
def usage_cells(usage: Usage) -> SafeString:
    """``{% usage_cells line.usage %}``: tokens, what was set aside and what it cost. Reads ``usage.hold``."""
    reasoning = f"{look.tokens(usage.reasoning_tokens)} of them reasoning" if usage.reasoning_tokens else ""
    return format_html(
        '<td class="r">{}</td><td class="r">{}</td><td class="r"{}>{}</td><td class="r">{}</td>'
        '<td class="r"><b title="{}: {}">{}</b>{}</td>',
        look.tokens(usage.input_tokens),
        look.tokens(usage.cached_tokens),
        format_html(' title="{}"', reasoning) if reasoning else "",
        look.tokens(usage.output_tokens),
        look.money(usage.hold.amount_nanousd),
        look.exact_money(usage.cost_nanousd),
        Usage.Source(usage.cost_source).label,
        look.money(usage.cost_nanousd),
        NOT_TOLD.get(usage.cost_source, ""),
    )


@register.inclusion_tag("budgets/_bill.html")
def bill_panel(user: User) -> dict[str, Any]:
    """``{% bill_panel request.user %}``: the book against the bills, for administrators. Four queries."""
    return {"bill": reading.bill() if user.is_superuser else None}


@register.inclusion_tag("budgets/_worries.html")
def money_worries(user: User) -> dict[str, Any]:
    """``{% money_worries request.user %}``: what is wrong with the money, for who decides; which of the limits that
    they manage are nearly or quite used up.
    """
    crossed = reading.crossed(access.managed_accounts(user))
    worries = reading.worries() if access.decides(user) else None
    return {"worries": worries, "crossed": crossed[:MOST_CROSSED], "more": len(crossed[MOST_CROSSED:])}


@register.inclusion_tag("budgets/_overruns.html")
def overruns(standing: Standing) -> dict[str, Any]:
    """``{% overruns standing %}``: calls of the period that cost more than was set aside for them. One query."""
    calls, amount = queries.overruns(standing.limit.account, standing.period_start, standing.period_end)
    return {"standing": standing, "calls": calls, "amount_nanousd": amount}
