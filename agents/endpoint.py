"""Where a model is called: a provider without its row, so that the client needs no database."""

from dataclasses import dataclass

import environ

from agents.models import Provider


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible endpoint. Holds the name of the variable with the key, never the key."""

    name: str
    kind: str
    base_url: str = ""
    key_variable: str = ""

    @classmethod
    def of(cls, provider: Provider) -> "Endpoint":
        return cls(provider.name, provider.kind, provider.base_url, provider.key_setting)

    @property
    def is_rehearsal(self) -> bool:
        return self.kind == Provider.Kind.REHEARSAL

    @property
    def speaks_openrouter(self) -> bool:
        """Whether it takes OpenRouter's fields, tells the cost and keeps a record of every generation."""
        return self.kind in (Provider.Kind.OPENROUTER, Provider.Kind.REHEARSAL)

    def key(self) -> str:
        """Return the API key from the environment (``X``, or the file that ``X_FILE`` names); may be empty."""
        return environ.FileAwareEnv().str(self.key_variable, default="") if self.key_variable else ""
