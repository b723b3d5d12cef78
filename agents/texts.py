"""What strangers wrote (models, commands, their files) as it may be stored, read by models, and shown to people."""

from typing import TypeVar

from mcc.core import redaction

T = TypeVar("T")


def valid(text: str) -> str:
    """Return ``text`` as every database takes it: without NUL and halves of surrogate pairs.

    Two halves that came in two pieces of an answer are one character.
    """
    return text.replace("\0", "\ufffd").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def storable(text: str) -> str:
    """Return ``text`` valid, and without secrets."""
    return redaction.redact(valid(text))


def storable_values(value: T) -> T:
    """Return ``value``, as JSON has it, with every text in it storable. Keys are ours."""
    found: object = value
    if isinstance(value, str):
        found = storable(value)
    elif isinstance(value, list | tuple):
        found = [storable_values(each) for each in value]
    elif isinstance(value, dict):
        found = {key: storable_values(each) for key, each in value.items()}
    return found  # type: ignore[return-value]
