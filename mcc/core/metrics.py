"""Numbers for whoever watches the machinery, in Prometheus' text format.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Value = int | float
Read = Callable[[], Value | Mapping[str, Value]]


@dataclass(frozen=True)
class Metric:
    name: str
    text: str
    label: str
    type: str
    read: Read


_metrics: dict[str, Metric] = {}


def gauge(name: str, text: str, *, label: str = "") -> Callable[[Read], Read]:
    """Register the function that reads a number as it is now; with ``label`` it answers ``{value of label: number}``.

    It runs at every scrape, so it costs one cheap query. ``name`` begins with ``mcc_``.
    """
    return _register(name, text, label, "gauge")


def counter(name: str, text: str, *, label: str = "") -> Callable[[Read], Read]:
    """Register the function that reads a number that only grows. See ``gauge``."""
    return _register(name, text, label, "counter")


def _register(name: str, text: str, label: str, type_: str) -> Callable[[Read], Read]:
    def register(read: Read) -> Read:
        _metrics[name] = Metric(name, text, label, type_, read)
        return read

    return register


def exposition() -> str:
    """Return all metrics as text, each read now."""
    lines: list[str] = []
    for metric in _metrics.values():
        lines += [f"# HELP {metric.name} {metric.text}", f"# TYPE {metric.name} {metric.type}"]
        value = metric.read()
        if isinstance(value, Mapping):
            lines += [f'{metric.name}{{{metric.label}="{_escape(key)}"}} {number}' for key, number in value.items()]
        else:
            lines.append(f"{metric.name} {value}")
    return "\n".join(lines) + "\n"


def _escape(text: object) -> str:
    return str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
