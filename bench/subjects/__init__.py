"""One module for each thing that is measured. Each has ``measure(scale)``, which yields findings."""

from bench.finding import Database

SUBJECTS: dict[str, tuple[Database, ...]] = {
    "overspend": ("sqlite", "postgresql"),
    "gateway": ("sqlite", "postgresql"),
    "headroom": ("sqlite", "postgresql"),
    "cut": ("sqlite", "postgresql"),
    "bill": ("sqlite", "postgresql"),
    "overhead": ("sqlite", "postgresql"),
    "crowd": ("sqlite", "postgresql"),
    "sandboxes": ("sqlite",),
    "maps": ("sqlite",),
    "stop": ("sqlite", "postgresql"),
    "sockets": ("sqlite", "postgresql"),
    "prefix": ("sqlite",),
    "pages": ("sqlite", "postgresql"),
    "dashboards": ("sqlite", "postgresql"),
    "webhooks": ("sqlite", "postgresql"),
    "requests": ("sqlite",),
}
"""Every subject with the databases that it is measured on, in the order of the report."""
