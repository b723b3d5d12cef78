"""Where a model is called: a provider without its row, so that the client needs no database."""

from dataclasses import dataclass, replace
from enum import StrEnum

import environ

from agents.models import Provider
from mcc.core import redaction
from mcc.core.encryption import Secret

NO_SECRET = Secret()
MANAGEMENT_KEY = "OPENROUTER_MANAGEMENT_KEY"
"""The variable with the management key, for the provider whose API key and address come from the environment, too."""


class KeySource(StrEnum):
    """Where the API key of a provider comes from."""

    STORED = "stored"
    ENVIRONMENT = "environment"
    NONE = "none"


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint. Holds its key encrypted, or the name of the variable with the key."""

    name: str
    kind: str
    base_url: str = ""
    key_variable: str = ""
    stored_key: Secret = NO_SECRET

    @classmethod
    def of(cls, provider: Provider) -> "Endpoint":
        return cls(provider.name, provider.kind, provider.base_url, provider.key_setting, provider.api_key)

    @classmethod
    def managing(cls, provider: Provider) -> "Endpoint | None":
        """Return the endpoint with the management key in place of the API key, or None when there is none.

        The one of the environment goes only where the environment says, never to an address that a person typed.
        """
        endpoint = cls.of(provider)
        if provider.kind != Provider.Kind.OPENROUTER:
            return None
        variable = MANAGEMENT_KEY if endpoint.has_key_of_environment else ""
        manager = replace(endpoint, key_variable=variable, stored_key=provider.management_key)
        return None if manager.key_source is KeySource.NONE else manager

    @property
    def is_rehearsal(self) -> bool:
        return self.kind == Provider.Kind.REHEARSAL

    @property
    def speaks_openrouter(self) -> bool:
        """Whether it takes OpenRouter's fields, tells the cost and keeps a record of every generation."""
        return self.kind in (Provider.Kind.OPENROUTER, Provider.Kind.REHEARSAL)

    @property
    def key_source(self) -> KeySource:
        """Where the key comes from. What a person stored last wins: it takes effect without a restart."""
        if self.stored_key:
            return KeySource.STORED
        return KeySource.ENVIRONMENT if self.has_key_of_environment else KeySource.NONE

    @property
    def has_key_of_environment(self) -> bool:
        return bool(self._key_of_environment())

    def key(self) -> str:
        """Return the API key, or "" when there is none. Raises Undecipherable."""
        return self.stored_key.reveal() if self.stored_key else self._key_of_environment()

    def _key_of_environment(self) -> str:
        """Return the value of the variable (``X``, or the file that ``X_FILE`` names)."""
        key: str = environ.FileAwareEnv().str(self.key_variable, default="") if self.key_variable else ""
        redaction.register(key)
        return key
