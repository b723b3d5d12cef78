"""What only a process that asks a model needs: half a second of processor time and 30 MB, which most never spend."""

from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def openai() -> ModuleType:
    """Return the package ``openai``."""
    return import_module("openai")


@cache
def transport() -> ModuleType:
    """Return `agents.transport`, which brings aiohttp along."""
    return import_module("agents.transport")
