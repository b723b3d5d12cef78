"""What an installation makes at its first start and keeps: its secret keys."""

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from cryptography.fernet import Fernet
from django.core.exceptions import ImproperlyConfigured

KEYS = "MCC_ENCRYPTION_KEYS"


def secret(directory: Path, name: str, make: Callable[[], str], *, variable: str) -> str:
    """Return the secret in the file ``name`` of the data directory, made at the first start and kept for the next ones.

    Written whole, then linked into place: of two processes that start at the same moment one makes it, both use it.
    Raises ImproperlyConfigured where the file is empty, and names the ``variable`` that may be set in its place.
    """
    path = directory / name
    if not path.exists():
        descriptor, draft = tempfile.mkstemp(prefix=f".{name}-", dir=directory)  # mode 0600
        with os.fdopen(descriptor, "w") as file:
            file.write(make())
        with suppress(FileExistsError):
            os.link(draft, path)
        Path(draft).unlink()
    if kept := path.read_text().strip():
        return kept
    raise ImproperlyConfigured(f"{path} is empty: delete it, or set {variable}")


def encryption_keys(directory: Path, given: Sequence[str]) -> list[str]:
    """Return the keys of stored secrets: the first encrypts, all decrypt.

    The kept one goes on decrypting after keys were ``given``, until its file is deleted. Raises ImproperlyConfigured.
    """
    keys = [key for word in given if (key := word.strip())]
    if not keys or (directory / "encryption_keys").exists():
        kept = secret(directory, "encryption_keys", lambda: Fernet.generate_key().decode(), variable=KEYS)
        keys += kept.replace(",", " ").split()
    for number, key in enumerate(keys, start=1):
        try:
            Fernet(key)
        except ValueError:
            raise ImproperlyConfigured(f"number {number} of {KEYS} is not 32 bytes in Base64") from None
    return keys
