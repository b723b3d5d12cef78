"""Charts drawn on the server as SVG: no JavaScript, no style attributes, fluid in width.

A plot has no viewBox: bars, grid lines and labels stand at percentages on x and pixels on y, so that type stays 11 px
at any width. Lines lie in a nested ``preserveAspectRatio="none"`` svg. Colours come from classes (``x1`` to ``x6``),
so that a change of theme redraws nothing.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

TOP_PX, BOTTOM_PX = 10, 22
Formatter = Callable[[float], str]


@dataclass(frozen=True)
class Series:
    """One colour of a chart: its name in the legend, its class (``x1`` to ``x6``) and a value for each label."""

    name: str
    css_class: str
    values: Sequence[float]


@dataclass(frozen=True)
class Scale:
    """The vertical axis: ``top`` is the value of its highest line, ``step`` the distance of its lines."""

    top: float
    step: float
    height: int

    def y(self, value: float) -> float:
        return self.height - BOTTOM_PX - (self.height - TOP_PX - BOTTOM_PX) * value / self.top

    def marks(self) -> list[float]:
        return [self.step * index for index in range(round(self.top / self.step) + 1)]


def number(value: float) -> str:
    """Return ``value`` with at most two places, as short as SVG allows."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def scale(highest: float, height: int, *, lines: int = 4, whole: bool = False) -> Scale:
    """Return an axis from zero to a round number not below ``highest``, with about ``lines`` lines.

    ``whole`` keeps the lines at whole numbers, for counts.
    """
    if highest <= 0:
        return Scale(1, 1, height)
    raw = max(highest / lines, 1) if whole else highest / lines
    magnitude = 10 ** math.floor(math.log10(raw))
    candidates = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next(factor * magnitude for factor in candidates if raw <= factor * magnitude * 1.000001)
    return Scale(step * math.ceil(highest / step - 1e-9), step, height)


def stacked(
    labels: Sequence[str],
    series: Sequence[Series],
    form: Formatter,
    *,
    title: str,
    height: int = 220,
    limit: float | None = None,
    limit_name: str = "Limit",
    whole: bool = False,
) -> SafeString:
    """Draw one bar a label, its series on top of each other. ``title`` is what a screen reader says."""
    totals = [sum(each.values[index] for each in series) for index in range(len(labels))]
    axis = scale(max([*totals, limit or 0, 0]), height, whole=whole)
    bars = "".join(_bar(index, len(labels), series, axis) for index in range(len(labels)))
    tips = [
        _tip(label, [*reversed(series)], index, form) + f"|Total;;{form(totals[index])}"
        for index, label in enumerate(labels)
    ]
    return _plot(labels, tips, axis, form, bars + (_limit(limit, axis, limit_name, form) if limit else ""), title)


def lines(
    labels: Sequence[str], series: Sequence[Series], form: Formatter, *, title: str, height: int = 200
) -> SafeString:
    """Draw one line a series; the first is solid with a tinted area below it, the others are dashed."""
    axis = scale(max((value for each in series for value in each.values), default=0), height)
    paths = "".join(_line(each, axis, solid=index == 0) for index, each in enumerate(series))
    inner = f'<svg width="100%" height="{height}" viewBox="0 0 1000 {height}" preserveAspectRatio="none">{paths}</svg>'
    if series and series[0].values:
        x, y = (len(labels) - 0.5) * 100 / len(labels), axis.y(series[0].values[-1])
        inner += f'<circle class="{series[0].css_class} end" cx="{number(x)}%" cy="{number(y)}" r="3.5"/>'
    tips = [_tip(label, series, index, form) for index, label in enumerate(labels)]
    return _plot(labels, tips, axis, form, inner, title)


def spark(values: Sequence[float], css_class: str = "x1", *, width: int = 72, height: int = 22) -> SafeString:
    """Draw a small grey line with a coloured end. Decoration: the number stands beside it. Empty below two values."""
    if len(values) < 2:
        return SafeString("")
    low, high = min(values), max(values)
    points = [
        (2 + index * (width - 6) / (len(values) - 1), 3 + (height - 6) * (1 - (value - low) / ((high - low) or 1)))
        for index, value in enumerate(values)
    ]
    path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
    x, y = points[-1]
    return mark_safe(  # noqa: S308 (numbers and a class name)
        f'<svg class="spark {escape(css_class)}" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'aria-hidden="true"><path class="line" d="{path}"/>'
        f'<circle class="end" cx="{number(x)}" cy="{number(y)}" r="2"/></svg>'
    )


def _bar(index: int, count: int, series: Sequence[Series], axis: Scale) -> str:
    """One stack, with a gap of one pixel between its parts and a rounded top."""
    width = 100 / count
    parts = [(each.css_class, each.values[index]) for each in series if each.values[index] > 0]
    y, drawn = axis.y(0), []
    for position, (css_class, value) in enumerate(parts):
        part = axis.y(0) - axis.y(value)
        y -= part
        corner = ' rx="2"' if position == len(parts) - 1 else ""
        drawn.append(
            f'<rect class="{css_class}" x="{number(index * width + width * 0.17)}%" y="{number(y)}" '
            f'width="{number(width * 0.66)}%" height="{number(max(part - (position > 0), 0.5))}"{corner}/>'
        )
    return "".join(drawn)


def _line(series: Series, axis: Scale, *, solid: bool) -> str:
    count = len(series.values)
    points = [((index + 0.5) * 1000 / count, axis.y(value)) for index, value in enumerate(series.values)]
    if not points:
        return ""
    path = "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)
    stroke = f'<path class="{series.css_class} line{"" if solid else " dash"}" d="{path}"/>'
    if not solid:
        return stroke
    floor = number(axis.y(0))
    closed = f"{path}L{number(points[-1][0])} {floor}L{number(points[0][0])} {floor}Z"
    return f'<path class="{series.css_class} area" d="{closed}"/>{stroke}'


def _limit(limit: float, axis: Scale, name: str, form: Formatter) -> str:
    y = axis.y(limit)
    text_y = number(y - 5 if y > 18 else y + 13)
    return (
        f'<line class="limit" x1="0" x2="100%" y1="{number(y)}" y2="{number(y)}"/>'
        f'<text class="limit-l" x="100%" y="{text_y}" text-anchor="end">{escape(name)} {escape(form(limit))}</text>'
    )


def _plot(
    labels: Sequence[str], tips: Sequence[str], axis: Scale, form: Formatter, drawing: str, title: str
) -> SafeString:
    """Put ``drawing`` between its axes, with one invisible column a label that carries the tooltip."""
    numbers = "".join(
        f'<text x="36" y="{number(axis.y(mark) + 3.5)}" text-anchor="end">{escape(form(mark))}</text>'
        for mark in axis.marks()
    )
    grid = "".join(
        f'<line class="grid{"" if mark else " base"}" x1="0" x2="100%" y1="{number(axis.y(mark))}" '
        f'y2="{number(axis.y(mark))}"/>'
        for mark in axis.marks()
    )
    width = 100 / (len(labels) or 1)
    columns = "".join(
        f'<rect class="hit" x="{number(index * width)}%" y="0" width="{number(width)}%" '
        f'height="{axis.height - BOTTOM_PX}" data-tip="{escape(tip)}"/>'
        for index, tip in enumerate(tips)
    )
    return mark_safe(  # noqa: S308 (every text was escaped above)
        f'<div class="chart"><svg class="chart-y" width="44" height="{axis.height}" aria-hidden="true">{numbers}</svg>'
        f'<svg class="plot" width="100%" height="{axis.height}" role="img" tabindex="0" aria-label="{escape(title)}">'
        f"{grid}{drawing}{_x_labels(labels, axis.height)}{columns}</svg></div>"
    )


def _x_labels(labels: Sequence[str], height: int) -> str:
    """About six labels, counted from the newest; every other one goes when the chart is narrow."""
    count = len(labels)
    every = max(1, math.ceil(count / 6))
    drawn = []
    for index, label in enumerate(labels):
        distance = count - 1 - index
        if distance % every:
            continue
        minor = " minor" if count > 6 and distance % (2 * every) else ""
        x, anchor = (100.0, "end") if distance == 0 and count > 6 else ((index + 0.5) * 100 / count, "middle")
        drawn.append(
            f'<text class="xl{minor}" x="{number(x)}%" y="{height - 5}" text-anchor="{anchor}">{escape(label)}</text>'
        )
    return "".join(drawn)


def _tip(label: str, series: Sequence[Series], index: int, form: Formatter) -> str:
    """The text of a tooltip: ``Label|Name;class;value|…``; the separators cannot be part of a name."""
    rows = [f"{_plain(each.name)};{each.css_class};{form(each.values[index])}" for each in series]
    return "|".join([_plain(label), *rows])


def _plain(text: str) -> str:
    return text.replace("|", "/").replace(";", ",")
