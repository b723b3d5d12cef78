"""Charts are numbers in SVG attributes: checked as numbers, and as well-formed XML without styles."""

import re
from xml.etree import ElementTree

import pytest

from mcc.core import charts, gauges, graphs
from mcc.core.charts import Series


def dollars(value: float) -> str:
    return f"${value:g}"


def parse(svg: str) -> ElementTree.Element:
    assert "style=" not in svg
    return ElementTree.fromstring(svg)


def rects(svg: str, css_class: str) -> list[dict[str, str]]:
    return [each.attrib for each in parse(svg).iter("rect") if each.get("class") == css_class]


@pytest.mark.parametrize(
    ("highest", "top", "step"),
    [(0, 1, 1), (1, 1, 0.25), (18.42, 20, 5), (25, 30, 10), (99, 100, 25), (0.003, 0.003, 0.001)],
)
def test_an_axis_ends_at_a_round_number(highest, top, step):
    axis = charts.scale(highest, 200)

    assert axis.top == pytest.approx(top)
    assert axis.step == pytest.approx(step)
    assert axis.marks()[-1] == pytest.approx(axis.top)


def test_counts_have_whole_lines():
    assert charts.scale(3, 200, whole=True).marks() == [0, 1, 2, 3]


def test_a_stack_is_as_high_as_its_sum():
    series = [Series("a", "x1", [2, 0]), Series("b", "x2", [2, 4])]

    svg = charts.stacked(["Mon", "Tue"], series, dollars, title="Cost", height=132)

    plot = 132 - charts.TOP_PX - charts.BOTTOM_PX
    first, second = rects(svg, "x1"), rects(svg, "x2")
    assert len(first) == 1
    assert float(first[0]["height"]) == plot / 2
    assert [float(each["height"]) for each in second] == [plot / 2 - 1, plot]
    assert [float(each["y"]) for each in second] == [charts.TOP_PX] * 2


def test_a_column_tells_its_numbers():
    svg = charts.stacked(["Mon"], [Series("Co;d|er", "x1", [2]), Series("b", "x2", [1])], dollars, title="Cost")

    assert rects(svg, "hit")[0]["data-tip"] == "Mon|b;x2;$1|Co,d/er;x1;$2|Total;;$3"


def test_names_are_escaped():
    svg = charts.stacked(['<b>"'], [Series("<i>", "x1", [1])], dollars, title='"><script>')

    assert parse(svg).find("svg[@role='img']").get("aria-label") == '"><script>'
    assert "<script>" not in svg


def test_a_chart_of_nothing_is_still_a_chart():
    assert parse(charts.stacked([], [], dollars, title="Cost")) is not None
    assert parse(charts.lines([], [], dollars, title="Time")) is not None
    assert parse(charts.stacked(["Mon"], [Series("a", "x1", [0])], dollars, title="Cost")) is not None


def test_a_limit_above_the_bars_is_inside_the_chart():
    svg = charts.stacked(["Mon"], [Series("a", "x1", [1])], dollars, title="Cost", limit=25, limit_name="Daily limit")

    line = next(each for each in parse(svg).iter("line") if each.get("class") == "limit")
    assert charts.TOP_PX <= float(line.get("y1")) <= 220
    assert "Daily limit $25" in "".join(parse(svg).itertext())


def test_a_line_passes_through_its_points():
    svg = charts.lines(
        ["a", "b"], [Series("x", "x1", [0, 4]), Series("y", "x5", [2, 2])], dollars, title="Time", height=132
    )

    paths = {each.get("class"): each.get("d") for each in parse(svg).iter("path")}
    assert paths["x1 line"] == "M250 110L750 10"
    assert paths["x5 line dash"] == "M250 60L750 60"
    assert paths["x1 area"].endswith("Z")


def test_a_spark_needs_two_values():
    assert charts.spark([1]) == ""
    assert parse(charts.spark([1, 1])) is not None


@pytest.mark.parametrize(
    ("value", "level"), [(0, "ok"), (79, "ok"), (80, "warn"), (99.9, "warn"), (100, "crit"), (250, "crit")]
)
def test_a_meter_is_full_at_its_limit(value, level):
    svg = gauges.meter(value, 100, title="Budget")

    assert parse(svg).get("class") == f"meter {level}"
    assert rects(svg, "m-val")[0]["width"] == f"{charts.number(min(value, 100))}%"


def test_a_limit_of_zero_is_full():
    assert parse(gauges.meter(0, 0, title="Budget")).get("class") == "meter crit"
    assert parse(gauges.gauge(0, 0, big="$0", small="of $0", title="Budget")).get("class") == "gauge crit"


def test_what_is_set_aside_is_drawn_after_what_is_spent():
    assert rects(gauges.meter(20, 100, forecast=50, title="x"), "m-fore")[0]["width"] == "50%"
    assert rects(gauges.meter(20, 100, forecast=20, title="x"), "m-fore") == []


def test_shares_fill_the_bar():
    widths = [float(each.get("width")[:-1]) for each in parse(gauges.split([("x1", 1), ("x2", 3)])).iter("rect")]

    assert widths == [24.65, 74.65]
    assert gauges.split([("x1", 0)]) == ""


def node(key: str, title: str = "A title") -> graphs.Node:
    return graphs.Node(key, title, "coding", "Coding", f"/issues/{key}/")


def test_a_graph_puts_what_waits_to_the_right():
    svg = graphs.graph([node("A"), node("B"), node("C")], [("A", "B"), ("B", "C"), ("A", "C")], title="Tasks")

    xs = [float(each.find("rect").get("x")) for each in parse(svg).iter("a")]
    assert xs == sorted(xs)
    assert len(set(xs)) == 3


def test_a_graph_links_and_escapes():
    svg = graphs.graph([node("A", '<b>"')], [("A", "gone")], title="Tasks")

    link = next(parse(svg).iter("a"))
    assert link.get("href") == "/issues/A/"
    assert link.get("aria-label") == 'A <b>", Coding'
    assert not re.search("<b>", svg)


def test_a_cycle_is_refused():
    with pytest.raises(ValueError, match="cycle: A, B"):
        graphs.graph([node("A"), node("B")], [("A", "B"), ("B", "A")], title="Tasks")


def test_three_hundred_nodes_are_drawn():
    nodes = [node(f"N{n}") for n in range(300)]
    edges = [(f"N{n}", f"N{n + step}") for n in range(290) for step in (3, 7)]

    assert len(list(parse(graphs.graph(nodes, edges, title="Tasks")).iter("a"))) == 300
