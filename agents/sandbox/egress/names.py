"""Which names are on a list of hosts. A name is compared letter by letter, never resolved to be compared."""

import re
from collections.abc import Sequence

MOST_CHARACTERS = 253
LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
NAME = re.compile(rf"{LABEL}(?:\.{LABEL})+")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def check_host(text: str) -> str:
    """Return an entry of a list, ``pypi.org`` or ``*.example.org``, as it is compared. Raises ValueError.

    A star stands for one label or more, only at the beginning and above at least two labels: nobody means ``*.com``.
    Addresses are no names, in whatever way they are written.
    """
    entry = text.strip().lower()
    name = entry.removeprefix("*.")
    if not is_name(name):
        raise ValueError(
            f"{text.strip()[:80]!r} is not the name of a host, as in pypi.org or *.example.org "
            "(no address, no port, no https://; a name with other letters in its xn-- form)."
        )
    return entry


def is_name(text: str) -> bool:
    """Whether ``text`` is a name of at least two labels that no resolver would take for an address."""
    return (
        len(text) <= MOST_CHARACTERS
        and NAME.fullmatch(text) is not None
        and NUMBER.fullmatch(text.rpartition(".")[2]) is None
    )


def normal(name: str) -> str:
    """Return what a client asked for as it is compared: in small letters, without the dot of the root."""
    return name.lower().removesuffix(".")


def is_listed(name: str, hosts: Sequence[str]) -> bool:
    """Whether ``name``, a normal one, is one of ``hosts``, or ends as one that begins with a star."""
    return is_name(name) and any(
        name == host or (host.startswith("*.") and name.endswith(host[1:]) and name != host[2:]) for host in hosts
    )
