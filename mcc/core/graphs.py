"""A dependency graph as SVG with links: longest-path layers, then barycentre sweeps. Good for a few hundred nodes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from mcc.core.charts import number

SWEEPS = 8
TITLE_LENGTH = 29
Edge = tuple[str, str]


@dataclass(frozen=True)
class Node:
    """One box: ``key`` and ``title`` are shown, ``stage`` colours the dot (``st-<stage>``) and is said as ``word``."""

    key: str
    title: str
    stage: str
    word: str
    url: str


@dataclass(frozen=True)
class Box:
    """Sizes in pixels: of a node, and of the gaps between columns and rows."""

    width: int = 196
    height: int = 46
    gap_x: int = 52
    gap_y: int = 14


def graph(nodes: Sequence[Node], edges: Sequence[Edge], *, title: str, heavy: Collection[Edge] = ()) -> SafeString:
    """Draw ``edges`` (before, after) from left to right; those in ``heavy`` (the longest chain) are darker.

    Edges to keys that are not among the nodes are left out. Raises ValueError for a cycle.
    """
    if not nodes:
        return SafeString("")
    known = {node.key: node for node in nodes}
    edges = [edge for edge in edges if edge[0] in known and edge[1] in known]
    box = Box()
    columns = _columns([*known], edges)
    places = _places(columns, box)
    width = len(columns) * (box.width + box.gap_x) - box.gap_x
    height = max(map(len, columns)) * (box.height + box.gap_y) - box.gap_y
    drawn = [
        _edge(places[a], places[b], box, (a, b) in heavy) for a, b in sorted(edges, key=lambda edge: edge in heavy)
    ]
    drawn += [_node(known[key], *places[key], box) for key in places]
    return mark_safe(  # noqa: S308 (numbers and escaped texts)
        f'<svg class="dag big" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="group" '
        f'aria-label="{escape(title)}">{"".join(drawn)}</svg>'
    )


def _columns(keys: Sequence[str], edges: Sequence[Edge]) -> list[list[str]]:
    """Put each key one column after the last thing it waits for, and order columns so that few edges cross."""
    before: dict[str, list[str]] = {key: [a for a, b in edges if b == key] for key in keys}
    after: dict[str, list[str]] = {key: [b for a, b in edges if a == key] for key in keys}
    depth = _depths(before)
    columns = [[key for key in keys if depth[key] == index] for index in range(max(depth.values()) + 1)]
    position = {key: index for column in columns for index, key in enumerate(column)}
    for sweep in range(SWEEPS):
        forward = sweep % 2 == 0
        neighbours = before if forward else after
        for column in columns[1:] if forward else columns[-2::-1]:
            weights = {key: _mean([position[each] for each in neighbours[key]], position[key]) for key in column}
            column.sort(key=weights.__getitem__)
            position.update({key: index for index, key in enumerate(column)})
    return columns


def _depths(before: Mapping[str, Sequence[str]]) -> dict[str, int]:
    depth: dict[str, int] = {}
    waiting = dict(before)
    while waiting:
        ready = [key for key, needed in waiting.items() if all(each in depth for each in needed)]
        if not ready:
            raise ValueError("dependency cycle: " + ", ".join(sorted(waiting)))
        for key in ready:
            depth[key] = 1 + max((depth[each] for each in waiting.pop(key)), default=-1)
    return depth


def _mean(values: Sequence[int], default: float) -> float:
    return sum(values) / len(values) if values else default


def _places(columns: Sequence[Sequence[str]], box: Box) -> dict[str, tuple[float, float]]:
    pitch = box.height + box.gap_y
    rows = max(map(len, columns))
    return {
        key: (column * (box.width + box.gap_x), (rows - len(keys)) * pitch / 2 + row * pitch)
        for column, keys in enumerate(columns)
        for row, key in enumerate(keys)
    }


def _edge(start: tuple[float, float], end: tuple[float, float], box: Box, heavy: bool) -> str:
    x0, y0 = start[0] + box.width, start[1] + box.height / 2
    x1, y1 = end[0], end[1] + box.height / 2
    middle = (x0 + x1) / 2
    css_class = "edge crit" if heavy else "edge"
    return (
        f'<path class="{css_class}" d="M{number(x0)} {number(y0)}C{number(middle)} {number(y0)} {number(middle)} '
        f'{number(y1)} {number(x1 - 5)} {number(y1)}"/>'
        f'<path class="{css_class} head" d="M{number(x1 - 6)} {number(y1 - 3.5)}l5 3.5l-5 3.5"/>'
    )


def _node(node: Node, x: float, y: float, box: Box) -> str:
    short = node.title if len(node.title) <= TITLE_LENGTH else node.title[: TITLE_LENGTH - 1].rstrip() + "…"
    spoken = f"{node.key} {node.title}, {node.word}"
    end, middle = number(x + box.width - 12), number(y + 19.5)
    return (
        f'<a href="{escape(node.url)}" class="node" aria-label="{escape(spoken)}">'
        f'<rect x="{number(x + 0.5)}" y="{number(y + 0.5)}" width="{box.width - 1}" height="{box.height - 1}" rx="7"/>'
        f'<circle class="st-{escape(node.stage)}" cx="{number(x + 14)}" cy="{number(y + 16)}" r="4"/>'
        f'<text class="nk" x="{number(x + 26)}" y="{middle}">{escape(node.key)}</text>'
        f'<text class="ns" x="{end}" y="{middle}" text-anchor="end">{escape(node.word)}</text>'
        f'<text class="nt" x="{number(x + 12)}" y="{number(y + 36)}">{escape(short)}</text></a>'
    )
