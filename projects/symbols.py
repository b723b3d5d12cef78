"""What files define and which names they use, remembered by content.

A grammar says so (``agents.grammars.tagging``); where there is none, or it came to no end with a file, lines and words
that look like it. Nothing of the repository is executed, and the patterns take time that grows with the text alone,
whoever wrote it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Final

from django.utils import timezone

from agents.grammars import tagging
from agents.grammars.tagging import Tags
from projects.git import Mirror
from projects.git.types import Blob
from projects.models import BlobTags

READER: Final = 2
"""Raise it when files are read differently: what was remembered before is then of no use."""
LARGEST_READ: Final = 200_000
MOST_BYTES: Final = 16_000_000
"""Of one repository; the rest of a huge one has no symbols."""
BATCH: Final = 400
KEPT: Final = timedelta(days=60)
SIGNATURE_CHARS: Final = 100
MOST_DEFINITIONS, MOST_REFERENCES = 300, 600

PYTHON: Final = re.compile(r"^(?: {4}|\t)?(?:async )?(?:def|class) \w+[^:\n]*", re.M)
JAVASCRIPT: Final = re.compile(
    r"^(?:export )?(?:default )?(?:async )?(?:function\*?|class|interface|type|enum|const) \w+", re.M
)
GO: Final = re.compile(r"^(?:func (?:\([^)\n]*\) )?\w+|type \w+ \w+)", re.M)
RUST: Final = re.compile(r"^(?: {4})?(?:pub(?:\([^)\n]*\))? )?(?:async )?(?:fn|struct|enum|trait|mod)\b[^{;\n]*", re.M)
RUBY: Final = re.compile(r"^ {0,2}(?:class|module|def) [\w:.?!=]+", re.M)
BRACES: Final = re.compile(
    r"^ {0,4}(?:(?:public|private|protected|internal|static|final|abstract|sealed|partial|data|open) )*"
    r"(?:class|interface|enum|record|struct|namespace|object|trait) \w+",
    re.M,
)
LANGUAGES: Final = {
    **dict.fromkeys(("py", "pyi"), ("python", PYTHON)),
    **dict.fromkeys(("js", "jsx", "mjs", "cjs", "ts", "tsx", "vue", "svelte"), ("javascript", JAVASCRIPT)),
    "go": ("go", GO),
    "rs": ("rust", RUST),
    "rb": ("ruby", RUBY),
    **dict.fromkeys(("java", "kt", "scala", "cs", "cpp", "cc", "hpp", "h", "swift", "php", "dart"), ("braces", BRACES)),
}
NAME: Final = re.compile(
    r"\b(?:def|class|function\*?|interface|type|enum|const|fn|struct|trait|mod|module|record|namespace|object|func)\s+"
    r"(?:\([^)]*\)\s*)?(?:self\.)?([A-Za-z_]\w*)"
)
WORD: Final = re.compile(r"[A-Za-z_]\w{2,}")


@dataclass(frozen=True)
class Definition:
    """``line`` counts from 1; ``written`` is its first line, cut short."""

    name: str
    line: int
    written: str


@dataclass(frozen=True)
class Symbols:
    definitions: Sequence[Definition]
    references: dict[str, int]


def is_known(path: str) -> bool:
    """Whether anything is known about the language of the file ``path``."""
    return tagging.is_known(path) or _looks(path) is not None


def of(mirror: Mirror, blobs: Sequence[Blob]) -> dict[str, Symbols]:
    """Return the symbols of ``blobs``, by path. Only what is not remembered is read, by one git process for each 400.

    Files too large, binary, or in a language that nobody knows are left out, and all after the first 16 MB.
    """
    keys = {blob.path: (blob.oid, _key(blob.path)) for blob in _first(blobs)}
    known = _remembered(set(keys.values()))
    missing = {key: path for path, key in keys.items() if key not in known}
    wanted = list(missing)
    for place in range(0, len(wanted), BATCH):
        known |= _read(mirror, wanted[place : place + BATCH], missing)
    if wanted:
        BlobTags.objects.filter(created_at__lt=timezone.now() - KEPT).delete()
    return {path: known[key] for path, key in keys.items() if key in known}


def _first(blobs: Sequence[Blob]) -> list[Blob]:
    """Return those that are read: as many as there is room for, whatever is remembered of them."""
    room, chosen = MOST_BYTES, []
    for blob in blobs:
        if blob.size <= min(LARGEST_READ, room) and is_known(blob.path):
            chosen.append(blob)
            room -= blob.size
    return chosen


def _remembered(keys: set[tuple[str, str]]) -> dict[tuple[str, str], Symbols]:
    oids = sorted({oid for oid, _ in keys})
    known: dict[tuple[str, str], Symbols] = {}
    for place in range(0, len(oids), BATCH):
        rows = BlobTags.objects.filter(oid__in=oids[place : place + BATCH])
        for oid, language, definitions, references in rows.values_list("oid", "language", "definitions", "references"):
            known[oid, language] = Symbols([Definition(*each) for each in definitions], references)
    return known


def _read(
    mirror: Mirror, keys: Sequence[tuple[str, str]], paths: dict[tuple[str, str], str]
) -> dict[tuple[str, str], Symbols]:
    texts = mirror.texts(list(dict.fromkeys(oid for oid, _ in keys)))
    found = dict(zip(keys, find([(paths[key], texts.get(key[0], "")) for key in keys]), strict=True))
    rows = [
        BlobTags(
            oid=oid,
            language=language,
            definitions=[[each.name, each.line, each.written] for each in symbols.definitions],
            references=symbols.references,
        )
        for (oid, language), symbols in found.items()
    ]
    BlobTags.objects.bulk_create(rows, ignore_conflicts=True, batch_size=100)
    return found


def find(texts: Sequence[tuple[str, str]]) -> list[Symbols]:
    """Return what each text defines and refers to, read as the file of its path."""
    return [
        _by_grammar(tags) if tags else _by_looks(*given) for tags, given in zip(tagging.tags(texts), texts, strict=True)
    ]


def _by_grammar(tags: Tags) -> Symbols:
    definitions = [Definition(name, line, written[:SIGNATURE_CHARS]) for name, line, written in tags.definitions]
    return _bounded(definitions, Counter({word: count for word, count in tags.words.items() if WORD.fullmatch(word)}))


def _by_looks(path: str, text: str) -> Symbols:
    language = _looks(path)
    if language is None:
        return Symbols([], {})
    definitions, line, last = [], 1, 0
    for match in language[1].finditer(text):
        line += text.count("\n", last, match.start())
        last = match.start()
        if name := NAME.search(match[0]):
            definitions.append(Definition(name[1], line, " ".join(match[0].split())[:SIGNATURE_CHARS]))
    return _bounded(definitions, Counter(WORD.findall(text)))


def _bounded(definitions: Sequence[Definition], words: Counter[str]) -> Symbols:
    """Return both within bounds, what occurs most first. That a name is defined is no use of it."""
    for definition in definitions:
        words[definition.name] -= 1
    used = sorted((pair for pair in words.items() if pair[1] > 0), key=lambda pair: (-pair[1], pair[0]))
    return Symbols(definitions[:MOST_DEFINITIONS], dict(used[:MOST_REFERENCES]))


def _key(path: str) -> str:
    looks = _looks(path)
    language = tagging.dialect_of(path) or (looks[0] if looks else "")
    return f"{language}/{READER}" if language else ""


def _looks(path: str) -> tuple[str, re.Pattern[str]] | None:
    """Return the name and the pattern of the language of the file ``path``."""
    return LANGUAGES.get(PurePosixPath(path).suffix.lstrip(".").lower())
