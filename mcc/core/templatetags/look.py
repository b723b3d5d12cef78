"""What templates draw with. Loaded everywhere (``builtins`` in the settings), so no page needs ``{% load %}``."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

from django import template
from django.conf import settings
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from mcc.core import charts, gauges, highlight
from mcc.core import markdown as markdown_
from mcc.core.models import User
from mcc.core.money import usd_display, usd_string

register = template.Library()
STEPS = ((60, 1, "s"), (3_600, 60, "m"), (86_400, 3_600, "h"), (7 * 86_400, 86_400, "d"))


@cache
def _icons() -> dict[str, str]:
    path = Path(settings.BASE_DIR) / "static" / "vendor" / "icons" / "icons.json"
    icons: dict[str, str] = json.loads(path.read_text())
    return icons


@register.simple_tag
def icon(name: str, css_class: str = "") -> SafeString:
    """``{% icon "plus" "s" %}``: an icon of the vendored set, drawn inline, in size ``s`` or ``xs``; or KeyError."""
    return _icon(name, css_class)


@cache
def _icon(name: str, css_class: str) -> SafeString:
    return format_html(
        '<svg class="{}" viewBox="0 0 24 24" aria-hidden="true">{}</svg>',
        f"i {css_class}".strip(),
        mark_safe(_icons()[name]),  # noqa: S308 (our own file, pinned by its hash)
    )


@register.filter
def money(amount_nanousd: int | None) -> str:
    """``{{ run.cost_nanousd|money }}``: ``$1.84``; a dash when there is no amount."""
    return "–" if amount_nanousd is None else usd_display(amount_nanousd)


@register.filter
def exact_money(amount_nanousd: int) -> str:
    """``$1.843219``: to the last nano-dollar, for whoever wants to know."""
    return f"${usd_string(amount_nanousd)}"


@register.filter
def tokens(count: int) -> str:
    """``8.1k``, ``2.3M``: how many tokens, as people say it."""
    if count < 1_000:
        return str(count)
    value, unit = (count / 1_000, "k") if count < 999_500 else (count / 1_000_000, "M")
    return f"{value:.1f}{unit}" if value < 10 else f"{value:.0f}{unit}"


@register.filter
def percent(ratio: float) -> str:
    """``46%`` of 0.4612."""
    return f"{ratio:.0%}"


@register.filter
def duration(seconds: float | timedelta | None) -> str:
    """``1.9s``, ``48s``, ``31m``, ``1h 46m``, ``3d 4h``; a dash when nobody knows."""
    if seconds is None:
        return "–"
    total = seconds.total_seconds() if isinstance(seconds, timedelta) else float(seconds)
    if total < 10:
        return f"{total:.1f}s"
    if total < 60:
        return f"{total:.0f}s"
    minutes = int(total // 60)
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes:02}m"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h"


@register.simple_tag
def reltime(moment: datetime | None) -> SafeString:
    """``{% reltime run.started_at %}``: ``4m``, the whole date on hover; the page keeps it true."""
    if moment is None:
        return SafeString("–")
    return format_html(
        '<time datetime="{}" title="{}" data-rel>{}</time>', moment.isoformat(), absolute(moment), _relative(moment)
    )


def absolute(moment: datetime) -> str:
    local = timezone.localtime(moment)
    return f"{local.day} {local:%b %Y, %H:%M} {local.tzname()}"


def _relative(moment: datetime) -> str:
    """The words of ``static/mcc/js/times.js``, which takes over in the browser."""
    age = abs((timezone.now() - moment).total_seconds())
    if age < 10:
        return "now"
    for below, unit_s, unit in STEPS:
        if age < below:
            return f"{int(age // unit_s)}{unit}"
    local = timezone.localtime(moment)
    return f"{local.day} {local:%b}" if local.year == timezone.localtime().year else f"{local.day} {local:%b %Y}"


@register.filter
def markdown(text: str) -> SafeString:
    """``<div class="prose" hx-ignore>{{ message.content|markdown }}</div>``"""
    return markdown_.render(text)


@register.simple_tag
def code(source: str, language: str = "", path: str = "") -> SafeString:
    """``<pre>{% code source path="a.py" %}</pre>``"""
    return highlight.code(source, language, path=path)


@register.inclusion_tag("components/diff.html")
def diff(patch: str, single: bool = False) -> dict[str, object]:
    """``{% diff patch %}``: a box per file; with ``single`` only the rows, for a box that has its own header."""
    return {"files": highlight.diff(patch), "single": single}


@register.simple_tag
def meter(
    spent: int, limit: int, title: str, taken: int | None = None, warn: float = 0.8, mark: int | None = None
) -> SafeString:
    """``{% meter spent limit "Issue budget" %}``: a bar. The title is said with the amounts, all in nano-dollars."""
    said = _amounts(title, spent, limit, taken, mark)
    return gauges.meter(spent, limit, forecast=taken, warn=float(warn), mark=mark, title=said)


@register.simple_tag
def token_meter(tokens: int, most: int, mark: int, title: str) -> SafeString:
    """``{% token_meter 42000 128000 89600 "Window" %}``: a bar with a tick at ``mark``, its warning."""
    said = f"{title}: {tokens:,} of {most:,} tokens"
    return gauges.meter(tokens, most, warn=gauges.share(mark, most), title=said)


@register.simple_tag
def gauge(
    spent: int, limit: int, title: str, taken: int | None = None, warn: float = 0.8, mark: int | None = None
) -> SafeString:
    """``{% gauge spent limit "today" %}``: an arc with the amount in it, nano-dollars; ``mark`` is the forecast."""
    return gauges.gauge(
        spent,
        limit,
        big=usd_display(spent),
        small=f"of {short_money(limit)} {title}",
        title=_amounts(title, spent, limit, taken, mark),
        forecast=taken,
        warn=float(warn),
        mark=mark,
    )


def _amounts(title: str, spent: int, limit: int, taken: int | None, mark: int | None) -> str:
    held = f", with what is set aside {usd_display(taken)}" if taken and taken > spent else ""
    pace = f", {usd_display(mark)} at the end at this pace" if mark is not None else ""
    return f"{title}: {usd_display(spent)} of {usd_display(limit)} spent{held}{pace}"


@register.filter
def short_money(amount_nanousd: int) -> str:
    """``$25`` for whole dollars, else as ``money``."""
    return f"${amount_nanousd // 10**9:,}" if amount_nanousd % 10**9 == 0 else usd_display(amount_nanousd)


@register.simple_tag
def spark(values: Sequence[float], css_class: str = "x1") -> SafeString:
    return charts.spark(values, css_class)


@register.simple_tag
def bar(value: float, highest: float, css_class: str = "x1") -> SafeString:
    return gauges.bar(value, highest, css_class)


@register.simple_tag
def person(user: User, css_class: str = "") -> SafeString:
    """People are their initials in a circle; agents are icons (``agent_icon``). Never a face."""
    return format_html(
        '<span class="{}" role="img" aria-label="{}"><span aria-hidden="true">{}</span></span>',
        f"ag human {css_class}".strip(),
        user.name,
        user.initials,
    )
