from collections.abc import Iterator
from typing import Any

from whitenoise.storage import CompressedManifestStaticFilesStorage


class StaticFiles(CompressedManifestStaticFilesStorage):
    """Hashed names also inside ES modules, which import each other: no stale half after an upgrade."""

    support_js_module_import_aggregation = True

    def post_process(self, paths: dict[str, Any], dry_run: bool = False, **options: object) -> Iterator[Any]:
        """Leave out the htmx of django-htmx: another version, never served, that imports what is not there."""
        ours = {name: path for name, path in paths.items() if not name.startswith("django_htmx/")}
        yield from super().post_process(ours, dry_run, **options)
