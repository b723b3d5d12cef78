"""How full something is: an arc, a bar, the shares of a whole. Widths are SVG attributes: the CSP forbids styles."""

import math
from collections.abc import Sequence

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from mcc.core.charts import number

ARC_START_DEG, ARC_SPAN_DEG = 150, 240


def level(ratio: float, warn: float = 0.8) -> str:
    """Return ``ok``, ``warn`` or ``crit``: the word and the class for how full something is."""
    return "crit" if ratio >= 1 else "warn" if ratio >= warn else "ok"


def share(value: float, limit: float) -> float:
    """Return ``value / limit``; a limit of zero is full."""
    return value / limit if limit > 0 else 1.0


def gauge(
    value: float,
    limit: float,
    *,
    big: str,
    small: str,
    title: str,
    forecast: float | None = None,
    warn: float = 0.8,
    mark: float | None = None,
    size: int = 168,
) -> SafeString:
    """Draw an arc of 240 degrees with a tick at the warning threshold, a faint arc up to ``forecast`` and a line across
    it at ``mark``.
    """
    full = min(share(value, limit), 1)
    centre, radius, height = size / 2, size / 2 - 9, number(size * 0.8)

    def arc(css_class: str, start: float, end: float) -> str:
        from_deg, to_deg = ARC_START_DEG + ARC_SPAN_DEG * start, ARC_START_DEG + ARC_SPAN_DEG * end
        return f'<path class="{css_class}" d="{_arc(centre, radius, from_deg, to_deg)}"/>'

    parts = [arc("g-track", 0, 1)]
    if forecast is not None and forecast > value:
        parts.append(arc("g-fore", full, min(share(forecast, limit), 1)))
    parts.append(arc("g-val", 0, max(full, 0.004)))
    parts.append(_across("g-tick", centre, radius, warn))
    if mark is not None:
        parts.append(_across("g-mark", centre, radius, min(share(mark, limit), 1)))
    parts.append(_label("g-big", centre, 3, big) + _label("g-small", centre, 23, small))
    return mark_safe(  # noqa: S308 (numbers and escaped texts)
        f'<svg class="gauge {level(full, warn)}" width="{size}" height="{height}" viewBox="0 0 {size} {height}" '
        f'role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def meter(
    value: float,
    limit: float,
    *,
    title: str,
    forecast: float | None = None,
    warn: float = 0.8,
    mark: float | None = None,
) -> SafeString:
    """Draw a bar: full part, faint part up to ``forecast``, ticks at ``warn`` and at ``mark``."""
    full = min(share(value, limit), 1)
    faint = ""
    if forecast is not None and forecast > value:
        faint = f'<rect class="m-fore" width="{number(min(share(forecast, limit), 1) * 100)}%" height="6" rx="3"/>'
    return mark_safe(  # noqa: S308 (numbers and escaped texts)
        f'<svg class="meter {level(full, warn)}" width="100%" height="6" role="img" aria-label="{escape(title)}">'
        f'<rect class="m-track" width="100%" height="6" rx="3"/>{faint}'
        f'<rect class="m-val" width="{number(full * 100)}%" height="6" rx="3"/>'
        f'<line class="m-tick" x1="{number(warn * 100)}%" x2="{number(warn * 100)}%" y1="0" y2="6"/>'
        f"{_meter_mark(mark, limit)}</svg>"
    )


def bar(value: float, highest: float, css_class: str = "x1") -> SafeString:
    """Draw a thin bar for a row of a table: ``value`` as a share of the ``highest`` row. The number is beside it."""
    width = number(max(0, min(share(value, highest), 1)) * 100)
    return mark_safe(  # noqa: S308 (numbers and a class name)
        '<svg class="hbar" width="100%" height="4" aria-hidden="true">'
        '<rect class="m-track" width="100%" height="4" rx="2"/>'
        f'<rect class="{escape(css_class)}" width="{width}%" height="4" rx="2"/></svg>'
    )


def split(parts: Sequence[tuple[str, float]], *, height: int = 10) -> SafeString:
    """Draw one bar of 100 % from ``(css_class, value)``. Decoration: a legend or a table says the numbers."""
    total = sum(value for _, value in parts)
    if total <= 0:
        return SafeString("")
    x, drawn = 0.0, []
    for css_class, value in parts:
        width = value / total * 100
        drawn.append(
            f'<rect class="{escape(css_class)}" x="{number(x)}%" width="{number(max(width - 0.35, 0.2))}%" '
            f'height="{height}" rx="2"/>'
        )
        x += width
    return mark_safe(  # noqa: S308 (numbers and class names)
        f'<svg class="split" width="100%" height="{height}" aria-hidden="true">{"".join(drawn)}</svg>'
    )


def _meter_mark(mark: float | None, limit: float) -> str:
    if mark is None:
        return ""
    x = number(min(max(share(mark, limit) * 100, 1), 99))
    return f'<line class="m-mark" x1="{x}%" x2="{x}%" y1="0" y2="6"/>'


def _across(css_class: str, centre: float, radius: float, part: float) -> str:
    """A line across the arc at ``part`` of it."""
    degrees = ARC_START_DEG + ARC_SPAN_DEG * part
    (x0, y0), (x1, y1) = _point(centre, radius - 6, degrees), _point(centre, radius + 6, degrees)
    return f'<line class="{css_class}" x1="{number(x0)}" y1="{number(y0)}" x2="{number(x1)}" y2="{number(y1)}"/>'


def _label(css_class: str, centre: float, below: float, text: str) -> str:
    place = f'x="{number(centre)}" y="{number(centre + below)}"'
    return f'<text class="{css_class}" {place} text-anchor="middle">{escape(text)}</text>'


def _point(centre: float, radius: float, degrees: float) -> tuple[float, float]:
    angle = math.radians(degrees)
    return centre + radius * math.cos(angle), centre + radius * math.sin(angle)


def _arc(centre: float, radius: float, start_deg: float, end_deg: float) -> str:
    (x0, y0), (x1, y1) = _point(centre, radius, start_deg), _point(centre, radius, end_deg)
    large = 1 if end_deg - start_deg > 180 else 0
    return f"M{number(x0)} {number(y0)}A{number(radius)} {number(radius)} 0 {large} 1 {number(x1)} {number(y1)}"
