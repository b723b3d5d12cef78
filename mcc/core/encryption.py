"""Secrets at rest: API keys and tokens are encrypted before they reach the database.

The keys are ``MCC_ENCRYPTION_KEYS``: the first encrypts, all decrypt (https://github.com/fernet/spec). A row in memory
holds a `Secret`, which says that there is one and gives it only to whoever asks for it, so that nothing that prints,
logs, pickles, serialises or audits a row can tell it.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models
from django.db.models.query_utils import DeferredAttribute

from mcc.core import redaction


class Undecipherable(Exception):
    """No key that is set decrypts the value. It is not lost: with its key it can be read again."""

    def __init__(self) -> None:
        super().__init__("none of MCC_ENCRYPTION_KEYS decrypts it")


class Secret:
    """A text that is kept encrypted. Printed, it says only whether there is one; ``reveal`` decrypts it."""

    __slots__ = ("token",)

    def __init__(self, token: str = "") -> None:
        """``token`` is what the database holds; empty: there is no secret."""
        self.token: Final = token

    @classmethod
    def of(cls, text: str) -> "Secret":
        """Return ``text`` encrypted. Two secrets of one text differ."""
        return cls(_cipher().encrypt(text.encode()).decode() if text else "")

    def reveal(self) -> str:
        """Return the text. Use it where it is needed and keep it nowhere. Raises Undecipherable."""
        try:
            text = _cipher().decrypt(self.token).decode() if self.token else ""
        except InvalidToken:
            raise Undecipherable from None
        redaction.register(text)
        return text

    @property
    def is_current(self) -> bool:
        """Whether the first key encrypted it."""
        try:
            Fernet(settings.MCC_ENCRYPTION_KEYS[0]).decrypt(self.token)
        except InvalidToken:
            return not self.token
        return True

    def encrypted_anew(self) -> "Secret":
        """Return the same text, encrypted with the first key. Raises Undecipherable."""
        return Secret.of(self.reveal())

    def __bool__(self) -> bool:
        return bool(self.token)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self.token == other.token

    def __hash__(self) -> int:
        return hash(self.token)

    def __str__(self) -> str:
        return "(set)" if self.token else ""

    def __repr__(self) -> str:
        return f"<Secret{str(self) and ' '}{self}>"


def _cipher() -> MultiFernet:
    return _cipher_of(tuple(settings.MCC_ENCRYPTION_KEYS))


@lru_cache(maxsize=2)
def _cipher_of(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


class _SealedAttribute(DeferredAttribute):
    """Encrypts a text the moment it is assigned, so that no row holds it in the clear."""

    def __set__(self, instance: models.Model, value: "Secret | str") -> None:
        sealed = value if isinstance(value, Secret) else Secret.of(value)
        instance.__dict__[self.field.attname] = sealed


if TYPE_CHECKING:
    _TextField = models.TextField["Secret | str", Secret]
else:
    _TextField = models.TextField


class EncryptedTextField(_TextField):
    """A `Secret` in a column: assign a text, read a `Secret`, ``""`` is none. No form shows it.

    Only ``field=""`` can be looked up: what is encrypted cannot be searched.
    """

    descriptor_class = _SealedAttribute

    def __init__(self, *args: Any, **options: Any) -> None:  # noqa: ANN401 (the signature is Django's)
        super().__init__(*args, **{"blank": True, "default": "", "editable": False, **options})

    def from_db_value(self, value: str, *_: object) -> Secret:
        return Secret(value)

    def to_python(self, value: "Secret | str") -> Secret:
        """Read what ``value_to_string`` wrote: a fixture holds what the database holds."""
        return value if isinstance(value, Secret) else Secret(value)

    def get_prep_value(self, value: "Secret | str") -> str:
        return (value if isinstance(value, Secret) else Secret.of(value)).token

    def value_to_string(self, obj: models.Model) -> str:
        secret = self.value_from_object(obj)
        assert isinstance(secret, Secret)
        return secret.token

    def formfield(self, *args: object, **options: object) -> None:
        """None: a form that takes a secret has a field of its own that never shows it."""
