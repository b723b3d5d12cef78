"""Encrypting all that is encrypted with the first key, so that older ones can be thrown away."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from django.apps import apps
from django.db import models

from mcc.core.encryption import EncryptedTextField, Secret, Undecipherable

BATCH: Final = 100


@dataclass
class Rekeyed:
    """How many secrets there are, how many were encrypted anew, and which cannot be read (``agents.provider:3``)."""

    secrets: int = 0
    changed: int = 0
    unreadable: list[str] = field(default_factory=list)


def rekey() -> Rekeyed:
    """Encrypt every secret with the first key. Each is a transaction of its own: break it off and start it again.

    What cannot be read stays as it is. What somebody replaces meanwhile is not touched: it has the first key already.
    """
    result = Rekeyed()
    for model, name, pk, secret in _secrets():
        result.secrets += 1
        if secret.is_current:
            continue
        try:
            renewed = secret.encrypted_anew()
        except Undecipherable:
            result.unreadable.append(f"{model._meta.label_lower}:{pk}")
            continue
        result.changed += model._base_manager.filter(**{"pk": pk, name: secret}).update(**{name: renewed})
    return result


def unreadable() -> list[str]:
    """Return the rows with a secret that no key decrypts, as in ``agents.provider:3``."""
    return [f"{model._meta.label_lower}:{pk}" for model, _, pk, secret in _secrets() if not _is_readable(secret)]


def _is_readable(secret: Secret) -> bool:
    try:
        secret.reveal()
    except Undecipherable:
        return False
    return True


def _secrets() -> Iterator[tuple[type[models.Model], str, object, Secret]]:
    """Yield every secret there is, with its model, field and row. A page of rows at a time: no cursor stays open."""
    for model in apps.get_models():
        for column in model._meta.local_concrete_fields:
            if isinstance(column, EncryptedTextField):
                rows = model._base_manager.exclude(**{column.name: ""}).order_by("pk").values_list("pk", column.name)
                page = list(rows[:BATCH])
                while page:
                    for pk, secret in page:
                        yield model, column.name, pk, secret
                    page = list(rows.filter(pk__gt=page[-1][0])[:BATCH])
