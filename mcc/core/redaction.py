"""Secrets are kept out of prompts, logs, pages and answers: what is known, word for word, and what looks like one.

Known are the values of environment variables whose names say so, passwords inside URLs there, the keys that MCC signs
and encrypts with, and every stored key from the moment in which it is read. What looks like one are formats that hardly
anything else has. The same text always becomes the same text, so that prompts stay byte-identical, and the time grows
with its length alone, whoever wrote it.

It is the second wall, not the first: secrets are not put where they could be found. A secret of an unknown format that
MCC was never told passes, and so does one that somebody has encoded or split.
"""

import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final
from urllib.parse import quote, unquote, urlsplit

MASK: Final = "[redacted]"
LEAST_CHARS: Final = 8
"""Shorter values stand in too many texts by chance."""
WORD_CHARS: Final = 12
"""A value of letters alone that is shorter is a word: masking it everywhere would say more than it hides."""
LARGEST_FILE: Final = 65_536

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL)S?(_FILE|_\d+)?$")
_known: tuple[str, ...] = ()
_lock = threading.Lock()

FORMATS: Final = (
    # what must be in a text before the pattern is tried, the pattern, and what stays of it
    ("sk-or-", re.compile(r"sk-or-v1-[0-9A-Za-z]{24,}"), MASK),
    ("sk-ant-", re.compile(r"sk-ant-[0-9A-Za-z_-]{24,}"), MASK),
    ("sk-proj-", re.compile(r"sk-proj-[0-9A-Za-z_-]{24,}"), MASK),
    ("gh", re.compile(r"gh[oprsu]_[0-9A-Za-z]{30,}"), MASK),
    ("github_pat_", re.compile(r"github_pat_[0-9A-Za-z_]{30,}"), MASK),
    ("AKIA", re.compile(r"AKIA[0-9A-Z]{16}(?![0-9A-Z])"), MASK),
    ("xox", re.compile(r"xox[abeprs]-[0-9A-Za-z-]{20,}"), MASK),
    (
        "PRIVATE KEY-----",
        re.compile(
            # Base64 to its end or, cut off, as far as it goes; with line ends or with ``\n`` as JSON writes them.
            r"-----BEGIN [A-Z0-9 ]{0,20}PRIVATE KEY-----(?:\s|\\[nr]){0,20}[0-9A-Za-z+/]{32}[0-9A-Za-z+/=\s\\]*"
            r"(?:-----END [A-Z0-9 ]{0,20}PRIVATE KEY-----)?"
        ),
        MASK,
    ),
    (
        "uthorization",
        re.compile(
            r"([Aa]uthorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:[Bb]earer|[Bb]asic|[Tt]oken)\s{1,4})"
            r"(?=[A-Za-z._~+/=-]{0,200}\d)[0-9A-Za-z._~+/=-]{16,}"
        ),
        rf"\1{MASK}",
    ),
    (
        "://",
        re.compile(
            rf"(://[^\s:/@\"'<>]{{0,100}}:)(?![A-Za-z]{{1,{WORD_CHARS - 1}}}@)[^\s/@\"'<>${{}}%*]{{8,200}}(?=@)"
        ),
        rf"\1{MASK}",
    ),
)


def register(*values: str) -> None:
    """Know ``values`` as secrets from now on, in this process. Short ones and plain words are not worth the damage."""
    global _known
    fresh = {form for value in values if value not in _known and is_telling(value) for form in _forms(value)}
    if fresh:
        with _lock:
            # Longest first: one secret may be a part of another.
            _known = tuple(sorted({*_known, *fresh}, key=lambda form: (-len(form), form)))


def is_telling(value: str) -> bool:
    """Whether a text that contains ``value`` most probably contains the secret."""
    return len(value) >= LEAST_CHARS and not (len(value) < WORD_CHARS and value.isalpha() and value.isascii())


def names_secret(name: str) -> bool:
    """Whether a variable of this name most probably holds a secret."""
    return _SECRET_NAME.search(name.upper()) is not None


def register_environment(environment: Mapping[str, str] = os.environ) -> None:
    """Know what the environment holds: variables that are named like a secret, files they name, passwords in URLs."""
    for name, value in environment.items():
        if names_secret(name):
            register(*_contents(value) if name.upper().endswith("_FILE") else [value])
        elif "://" in value:
            register(*_passwords(value))


def redact(text: str) -> str:
    """Return ``text`` without the secrets that are known and without what looks like one. Again changes nothing."""
    text = redact_known(text)
    for anchor, pattern, rest in FORMATS:
        if anchor in text:
            text = pattern.sub(rest, text)
    return text


def redact_known(text: str) -> str:
    """Return ``text`` without the secrets that are known word for word."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def holds_known(text: str) -> bool:
    """Whether a known secret stands in ``text``: 50 microseconds for each of them in a prompt of 200 kB."""
    return any(secret in text for secret in _known)


class Formatter(logging.Formatter):
    """Formats as usual, traceback included, then redacts."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def guard_tracebacks() -> None:
    """Let what nobody catches be printed without secrets, too."""

    def show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        sys.stderr.write(redact("".join(traceback.format_exception(kind, error, trace))))

    sys.excepthook = show
    threading.excepthook = lambda gone: show(gone.exc_type, gone.exc_value, gone.exc_traceback)


def _forms(value: str) -> Iterable[str]:
    """Yield ``value`` as it may stand in a text: as it is, in JSON, in a URL."""
    yield value
    yield json.dumps(value)[1:-1]
    yield quote(value, safe="")
    if value != value.strip() and is_telling(value.strip()):
        yield value.strip()


def _contents(path: str) -> Iterable[str]:
    """Yield what the file holds whose name a variable gives, if it can be read."""
    try:
        with Path(path).open(encoding="utf-8") as file:
            yield file.read(LARGEST_FILE).strip()
    except (OSError, ValueError):
        return


def _passwords(url: str) -> Iterable[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)
