"""What commands of the project put out, as it is kept."""

from typing import Final

from agents.sandbox.egress.record import told
from agents.sandbox.types import Result

LOG_BYTES: Final = 200_000
TAIL_CHARACTERS: Final = 4_000


def of(result: Result) -> str:
    """Return what a command put out and, below it, what the network refused to it."""
    refused = told(result.contacts)
    return head_and_tail(result.output) + (f"\n{refused}\n" if refused else "")


def head_and_tail(output: bytes) -> str:
    """Return ``output`` as text without NUL (PostgreSQL keeps none), its middle left out when it is long."""
    half = LOG_BYTES // 2
    if len(output) > LOG_BYTES:
        left_out = len(output) - LOG_BYTES
        output = output[:half] + f"\n… {left_out} bytes left out …\n".encode() + output[-half:]
    return output.decode(errors="replace").replace("\0", "\ufffd")


def ends(text: str, longest: int) -> str:
    """Return ``text``, or about ``longest`` characters of it: a quarter from its beginning, the rest from its end."""
    if len(text) <= longest:
        return text
    head = longest // 4
    return f"{text[:head]}\n…\n{text[head - longest :]}"


def tail(log: str) -> str:
    """Return the end of a log, where programs say what failed."""
    return log[-TAIL_CHARACTERS:]
