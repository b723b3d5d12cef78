"""Source and diffs in colour: classes with the prefix ``p-`` only, so that both themes and the CSP are content.

Anybody may have written the text, and Pygments takes quadratic time for some texts in most languages, in some a second
for a single token. So what is long is not coloured, only languages are whose tokens are quick (``test_highlight.py``
tries them), and after BUDGET_S of processor time the rest of a text is left plain.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from pygments import lex
from pygments.lexer import Lexer
from pygments.lexers import TextLexer, get_lexer_by_name, get_lexer_for_filename
from pygments.token import STANDARD_TYPES, Token, _TokenType
from pygments.util import ClassNotFound
from unidiff import Hunk, PatchedFile, PatchSet
from unidiff.errors import UnidiffParseError

LONGEST_HIGHLIGHTED = 400
"""Lines of a file's diff, half of those of a source text; more take Pygments too long (0.2 ms a line)."""
MOST_CHARACTERS: Final = 40_000
LONGEST_LINE: Final = 1_000
BUDGET_S: Final = 0.1
LANGUAGES: Final = frozenset(
    {
        *("python", "pycon", "javascript", "typescript", "jsx", "tsx", "json", "yaml", "toml", "ini", "html", "xml"),
        *("css", "scss", "bash", "diff", "sql", "go", "rust", "java", "c", "cpp", "csharp", "ruby", "php", "swift"),
        "docker",
    }
)
"""As Pygments names them first."""

NO_NEWLINE = "\\"
"""Type of the line that says "No newline at end of file"."""


@dataclass(frozen=True)
class Row:
    """One line of a diff: ``kind`` is hunk, same, add or del; ``html`` is safe."""

    kind: str
    html: SafeString
    old: int | None = None
    new: int | None = None


@dataclass(frozen=True)
class FileDiff:
    """What a patch does to one file. ``plain`` is the patch itself when it could not be understood."""

    path: str
    added: int = 0
    removed: int = 0
    rows: tuple[Row, ...] = field(default_factory=tuple)
    plain: str = ""
    is_binary: bool = False


def code(source: str, language: str = "", *, path: str = "") -> SafeString:
    """Return ``source`` as HTML for inside a ``<pre>``. The language may be a name or be guessed from ``path``."""
    return mark_safe("\n".join(_lines(source, _lexer(language, path))))  # noqa: S308 (_lines escapes)


def diff(patch: str) -> list[FileDiff]:
    """Return one FileDiff a file. Agents write patches with wrong counts: those come back whole, as plain text."""
    try:
        files = list(PatchSet(patch))
    except (UnidiffParseError, ValueError, IndexError, AttributeError):
        files = []
    if not files:
        return [FileDiff(path="", plain=patch)] if patch.strip() else []
    return [_file(each) for each in files]


def _file(patched: PatchedFile) -> FileDiff:
    rows: list[Row] = []
    length = sum(len(hunk) for hunk in patched)
    lexer = _lexer("", patched.path) if length <= LONGEST_HIGHLIGHTED else _lexer("text", "")
    for hunk in patched:
        rows.append(Row("hunk", _hunk_header(hunk)))
        rows += _hunk(hunk, lexer)
    return FileDiff(
        patched.path,
        patched.added,
        patched.removed,
        tuple(rows),
        is_binary=bool(getattr(patched, "is_binary_file", False)),
    )


def _hunk_header(hunk: Hunk) -> SafeString:
    span = f"@@ {hunk.source_start},{hunk.source_length} → {hunk.target_start},{hunk.target_length} @@"
    return SafeString(escape(f"{span} {hunk.section_header}".rstrip()))


def _hunk(hunk: Hunk, lexer: Lexer) -> list[Row]:
    """Highlight both sides as whole texts, so that a string over several lines keeps its colour."""
    lines = [line for line in hunk if line.line_type != NO_NEWLINE]
    old = iter(_lines("".join(line.value for line in lines if not line.is_added), lexer))
    new = iter(_lines("".join(line.value for line in lines if not line.is_removed), lexer))
    rows = []
    for line in lines:
        if line.is_removed:
            rows.append(Row("del", SafeString(next(old, "")), old=line.source_line_no))
        elif line.is_added:
            rows.append(Row("add", SafeString(next(new, "")), new=line.target_line_no))
        else:
            next(old, "")
            rows.append(Row("same", SafeString(next(new, "")), line.source_line_no, line.target_line_no))
    return rows


@lru_cache(maxsize=64)
def _lexer(language: str, path: str) -> Lexer:
    try:
        found = get_lexer_by_name(language) if language else get_lexer_for_filename(path)
    except ClassNotFound:
        found = TextLexer()
    if found.aliases[0] not in LANGUAGES:
        found = TextLexer()
    # Line numbers must agree with the file, so nothing may be stripped or added.
    found.stripnl = found.ensurenl = False
    return found


def _lines(source: str, lexer: Lexer) -> list[str]:
    """Return the escaped lines of ``source``; a token over several lines is closed and opened again."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    if _is_long(source):
        return [escape(line) for line in source.removesuffix("\n").split("\n")]
    lines: list[str] = []
    current: list[str] = []
    for token_type, value in _tokens(source, lexer):
        css_class = _css_class(token_type)
        for index, part in enumerate(value.split("\n")):
            if index:
                lines.append("".join(current))
                current = []
            if part:
                text = escape(part)
                current.append(f'<span class="p-{css_class}">{text}</span>' if css_class else text)
    if current:
        lines.append("".join(current))
    return lines


def _is_long(source: str) -> bool:
    lines = source.split("\n")
    return (
        len(source) > MOST_CHARACTERS
        or len(lines) > LONGEST_HIGHLIGHTED * 2
        or max(len(line) for line in lines) > LONGEST_LINE
    )


def _tokens(source: str, lexer: Lexer) -> Iterator[tuple[_TokenType, str]]:
    """Yield the tokens of ``source``; what is left of it once the time is up as one that has no colour."""
    until, read = time.thread_time() + BUDGET_S, 0
    for token_type, value in lex(source, lexer):
        yield token_type, value
        read += len(value)
        if time.thread_time() > until:
            yield Token.Text, source[read:]
            return


def _css_class(token_type: _TokenType) -> str:
    while token_type not in STANDARD_TYPES:
        token_type = token_type.parent
    return STANDARD_TYPES[token_type]
