"""How long the map of a repository takes: never seen, remembered, and after one file changed.

The repository is Django as it is installed here: some 800 files that a grammar reads.
"""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import django
from django.conf import settings

from bench.finding import Finding, Scale
from bench.subjects.sandboxes import git
from projects import repomap
from projects.forge import CloneSpec
from projects.git import Mirror
from projects.models import BlobTags
from projects.ranking import Interest

WORK = Interest.of("`QuerySet.in_bulk` loses rows when `annotate` was called, see db/models/query.py")


def measure(scale: Scale) -> Iterator[Finding]:
    source, installed = Path(settings.DATA_DIR) / "django", Path(str(django.__file__)).parent
    shutil.copytree(installed, source, ignore=shutil.ignore_patterns("*.mo", "*.po", "__pycache__"))
    git(source, "init", "-q", "-b", "main")
    mirror = Mirror(1)
    values: dict[str, list[float]] = {"never seen": [], "remembered": [], "one file changed": []}
    for number in range(scale.of(1, 3, 5)):
        (source / "db" / "changed.py").write_text(f"def changed_{number}(): ...\n")
        git(source, "add", "-A")
        git(source, "commit", "-qm", "As it is")
        mirror.fetch_from(CloneSpec(str(source)))
        BlobTags.objects.all().delete()
        values["never seen"].append(_seconds(mirror))
        values["remembered"].append(_seconds(mirror))
        (source / "db" / "changed.py").write_text(f"def changed_again_{number}(): ...\n")
        git(source, "commit", "-qam", "Changed")
        mirror.fetch_from(CloneSpec(str(source)))
        values["one file changed"].append(_seconds(mirror))
    read = f"{BlobTags.objects.count()} files read"
    for name, seconds in values.items():
        yield Finding(f"map of a repository, {name}", "s", seconds, None, read)


def _seconds(mirror: Mirror) -> float:
    sha = mirror.head("main")
    began = time.monotonic()
    repomap.draw(mirror, sha, interest=WORK)
    return time.monotonic() - began
