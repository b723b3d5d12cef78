"""Static files collected only when one of them changed: compressing all of them takes seconds."""

import hashlib
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

FINGERPRINT = ".collected"


def collect() -> bool:
    """Bring ``STATIC_ROOT`` up to date; return whether there was anything to do."""
    root = Path(settings.STATIC_ROOT)
    mark = root / FINGERPRINT
    fingerprint = _fingerprint()
    if is_collected(fingerprint):
        return False
    root.mkdir(parents=True, exist_ok=True)
    mark.unlink(missing_ok=True)
    call_command("collectstatic", interactive=False, clear=True, verbosity=0)
    mark.write_text(fingerprint)
    return True


def is_collected(fingerprint: str | None = None) -> bool:
    """Whether what is served is what is in the sources."""
    mark = Path(settings.STATIC_ROOT) / FINGERPRINT
    return mark.exists() and mark.read_text() == (fingerprint or _fingerprint())


def _fingerprint() -> str:
    """Return a digest over the name, size and time of every source file, and over how they are stored."""
    digest = hashlib.sha256(settings.STORAGES["staticfiles"]["BACKEND"].encode())
    for finder in get_finders():
        for path, storage in sorted(finder.list([]), key=lambda found: found[0]):
            stat = Path(storage.path(path)).stat()
            digest.update(f"{path}:{stat.st_size}:{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()
