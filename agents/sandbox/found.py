"""What the file tools of a sandbox find: parts of files, names, lines that match."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

NEW_FILE_MODE: Final = 0o644


class FileSlice(NamedTuple):
    """A part of a file and the size of the whole, in bytes."""

    size: int
    data: bytes


class FileMode(NamedTuple):
    """The permissions of a file, and whether its name is a symbolic link to it."""

    bits: int
    is_link: bool


class LinesSlice(NamedTuple):
    """Some lines of a file, as bytes with their ends, and how many ``lines`` the whole has.

    ``lines`` is None when it is too large to be counted; then there are no data.
    """

    size: int
    lines: int | None
    is_binary: bool
    data: bytes


class EntryKind(StrEnum):
    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"


@dataclass(frozen=True)
class Entry:
    """One name in a directory. ``path`` is relative to the directory that was listed."""

    path: str
    kind: EntryKind
    size: int


@dataclass(frozen=True)
class Match:
    """One line that matched. ``path`` is relative to the workspace, ``text`` is cut when long."""

    path: str
    line: int
    text: str


@dataclass(frozen=True)
class SearchResult:
    """Files first: how many lines match in each file, then the first of the lines themselves."""

    files: tuple[tuple[str, int], ...]
    matches: tuple[Match, ...]
    truncated: bool
    """More files or lines match than are shown."""
