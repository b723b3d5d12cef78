"""The file tools: ``view``, ``search``, ``edit`` and ``create``. Every access happens inside the sandbox."""

import difflib
import posixpath
from typing import Final

from agents.models import Role
from agents.sandbox.errors import PathProblem, SandboxPathError
from agents.sandbox.found import EntryKind, LinesSlice, SearchResult
from agents.sandbox.types import MIB, WORKSPACE, Sandbox
from agents.tools import editing, syntax
from agents.tools.registry import JSON, ToolContext, ToolResult, tool
from agents.tools.syntax import Draft
from mcc.core.errors import DomainError

SHOWN_LINES: Final = 400
SHOWN_CHARS: Final = 16_000
SHOWN_BYTES: Final = MIB
LINE_CHARS: Final = 600
SEARCH_CHARS: Final = 8_000
LISTED_FILES: Final = 100
NEAR_DEPTH: Final = 12
NEAR_ENTRIES: Final = 5_000
NEAR_SHOWN: Final = 4
"""Paths that may be meant in the place of one that does not exist: how deep and among how many it is looked."""
EDITABLE_BYTES: Final = MIB


class NotWritable(DomainError):
    """The path is outside what this agent may write, or not a text that can be edited."""

    code = "not_writable"


@tool(
    "view",
    f"Read a file with line numbers (at most {SHOWN_LINES} lines at once), or list a directory.",
    {
        "type": "object",
        "properties": {
            "path": {"type": "string", "description": "relative to the root of the repository"},
            "start": {"type": "integer", "minimum": 1, "description": "first line, counted from 1"},
            "end": {"type": "integer", "minimum": 1, "description": "last line"},
        },
        "required": ["path"],
        "additionalProperties": False,
    },
)
def view(context: ToolContext, path: str, start: int = 1, end: int | None = None) -> ToolResult:
    path = inside(path)
    sandbox = context.workplace.sandbox()
    if end is not None and end < start:
        return ToolResult(f"No lines: end ({end}) is before start ({start}).", detail={"path": path})
    count = min(SHOWN_LINES, (end or start + SHOWN_LINES) - start + 1)
    try:
        found = sandbox.read_lines(path, start, count, SHOWN_BYTES)
    except SandboxPathError as error:
        if error.problem is not PathProblem.NOT_A_FILE:
            raise likely(sandbox, path, error) from None
        return ToolResult(_listing(sandbox, path), detail={"path": path})
    return ToolResult(_numbered(path, found, start), detail={"path": path})


@tool(
    "search",
    "Search the files of the repository for a regular expression: first the files with the number of "
    "matching lines, then the lines. What git ignores is left out, unless `path` names it.",
    {
        "type": "object",
        "properties": {
            "pattern": {"type": "string", "description": "an extended regular expression (grep -E)"},
            "path": {"type": "string", "description": "a directory or file to search in; all when left out"},
            "glob": {"type": "string", "description": "only such files, as in *.py, src or src/**/*.{ts,tsx}"},
        },
        "required": ["pattern"],
        "additionalProperties": False,
    },
)
def search(context: ToolContext, pattern: str, path: str = "", glob: str = "") -> ToolResult:
    path = inside(path)
    found = context.workplace.sandbox().search(pattern, path, glob)
    text = _found(found) if found.files else _nothing(pattern, path, glob)
    return ToolResult(text, detail={"files": len(found.files)})


@tool(
    "edit",
    "Replace text in a file. `old` must be quoted as it stands in the file and be unique there; the edit is "
    "refused if the file would no longer parse.",
    {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "old": {
                "type": "string",
                "description": "the lines to replace, with enough around them to be unique",
            },
            "new": {"type": "string", "description": "what stands there afterwards"},
            "all": {"type": "boolean", "description": "replace every occurrence"},
        },
        "required": ["path", "old", "new"],
        "additionalProperties": False,
    },
    roles=[Role.CODER],
)
@syntax.refusing_once
def edit(context: ToolContext, path: str, old: str, new: str, **options: bool) -> ToolResult:
    """``options`` is only ``all``: as a parameter it would hide the built-in."""
    path = writable(context, path)
    sandbox = context.workplace.sandbox()
    try:
        before = text_of(sandbox, path)
    except SandboxPathError as error:
        raise likely(sandbox, path, error) from None
    change = editing.replace(before, old, new, every=options.get("all", False), again=context.again)
    (note,) = syntax.examined(context, [Draft(path, before, change.text)])
    sandbox.write_file(path, change.text.encode())
    loosely = " (white space differed from what you quoted; the file's was kept)" if change.loosely else ""
    times = f" in {change.count} places" if change.count > 1 else ""
    return ToolResult(f"Edited {path}{times}{loosely}.{note}", detail=_detail(path, before, change.text))


@tool(
    "create",
    "Write a new file, with its directories. An existing file is only replaced with `overwrite`; "
    "prefer `edit` for changes.",
    {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "content": {"type": "string", "description": "the whole file"},
            "overwrite": {"type": "boolean"},
        },
        "required": ["path", "content"],
        "additionalProperties": False,
    },
    roles=[Role.CODER, Role.TESTER],
)
@syntax.refusing_once
def create(context: ToolContext, path: str, content: str, overwrite: bool = False) -> ToolResult:
    path = writable(context, path)
    sandbox = context.workplace.sandbox()
    before = _text_if_any(sandbox, path)
    if before == content:
        return ToolResult(f"{path} already has this content.", detail={"path": path, "added": 0, "removed": 0})
    (note,) = syntax.examined(context, [Draft(path, before, content)])
    sandbox.write_file(path, content.encode(), overwrite=overwrite)
    verb = "Created" if before is None else "Replaced"
    lines = len(content.splitlines())
    return ToolResult(f"{verb} {path} ({lines} lines).{note}", detail=_detail(path, before or "", content))


def inside(path: str) -> str:
    """Return ``path`` relative to the workspace, in its shortest form. The sandbox minds its walls."""
    path = posixpath.normpath(path.strip() or ".")
    if path == WORKSPACE or path.startswith(f"{WORKSPACE}/"):
        path = posixpath.relpath(path, WORKSPACE)
    return "" if path == "." else path


def writable(context: ToolContext, path: str) -> str:
    """Return ``inside(path)``. Raises NotWritable when the workplace does not let this agent write there."""
    path = inside(path)
    if not context.workplace.may_write(path):
        raise NotWritable(f"You may not write {path or 'here'} in this role.")
    return path


def likely(sandbox: Sandbox, path: str, error: SandboxPathError) -> SandboxPathError:
    """Return ``error`` with the paths that may be meant when ``path`` does not exist."""
    if error.problem is not PathProblem.MISSING:
        return error
    name = posixpath.basename(path)
    paths = [entry.path for entry in sandbox.list_dir("", depth=NEAR_DEPTH, limit=NEAR_ENTRIES)]
    near = [each for each in paths if posixpath.basename(each) == name] or difflib.get_close_matches(path, paths)
    hint = f" Did you mean {', '.join(near[:NEAR_SHOWN])}?" if near else " `view` a directory, or `search`, to find it."
    return SandboxPathError(error.detail + hint, problem=error.problem)


def text_of(sandbox: Sandbox, path: str) -> str:
    """Return the text of a file that can be edited. Raises NotWritable, SandboxPathError."""
    size, data = sandbox.read_file(path, limit=EDITABLE_BYTES)
    if size > len(data):
        raise NotWritable(f"{path} is too large to edit ({size} bytes). Change it with a command.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise NotWritable(f"{path} is not UTF-8 text. Change it with a command.") from None


def _text_if_any(sandbox: Sandbox, path: str) -> str | None:
    try:
        return text_of(sandbox, path)
    except SandboxPathError as error:
        if error.problem is PathProblem.MISSING:
            return None
        raise
    except NotWritable:
        return ""


def _detail(path: str, before: str, after: str) -> JSON:
    change = editing.diff(path, before, after)
    return {"path": path, "added": change.added, "removed": change.removed, "diff": change.text}


def _numbered(path: str, found: LinesSlice, start: int) -> str:
    if found.is_binary:
        return f"{path} is a binary file of {found.size} bytes."
    if found.lines is None:
        return f"{path} is too large to be shown by lines ({found.size} bytes): `run` a command that reads a part."
    if not found.lines:
        return f"{path} is empty."
    if start > found.lines:
        return f"{path} has only {found.lines} line{'s' * (found.lines > 1)}."
    lines = found.data.decode("utf-8", "replace").removesuffix("\n").split("\n")
    shown: list[str] = []
    room = SHOWN_CHARS
    for number, line in enumerate(lines, start):
        numbered = f"{number:>6}\t" + _cut(line.removesuffix("\r"))
        room -= len(numbered) + 1
        if room < 0 and shown:
            break
        shown.append(numbered)
    last = start + len(shown) - 1
    if last < found.lines or len(found.data) >= SHOWN_BYTES:
        shown.append(f"[lines {start} to {last} of {found.lines} lines; pass start and end to see others]")
    return "\n".join(shown)


def _cut(line: str) -> str:
    if len(line) <= LINE_CHARS:
        return line
    more = "more than " if len(line.encode()) >= SHOWN_BYTES - LINE_CHARS else ""
    return f"{line[:LINE_CHARS]}… ({more}{len(line)} characters)"


def _listing(sandbox: Sandbox, path: str) -> str:
    entries = sandbox.list_dir(path, depth=2, limit=SHOWN_LINES)
    if not entries:
        return f"{path or '.'} is empty."
    names = [f"{entry.path}/" if entry.kind is EntryKind.DIRECTORY else entry.path for entry in entries]
    return "\n".join([f"{path or '.'} is a directory:", *names])


def _nothing(pattern: str, path: str, glob: str) -> str:
    """Say what was looked for where: a model that reads only "nothing" tends to take it for proof."""
    where = f"in {path}" if path else "in the whole repository"
    named = f", in files named {glob}" if glob else ""
    hints = ["The search minds upper and lower case."]
    if any(char in pattern for char in "()[]{}+?.*|^$\\"):
        hints.append("The pattern is an extended regular expression: a backslash takes ( [ { + ? . * | as they are.")
    hints.append(
        "Binary files are not searched, and what git ignores, or holds as another repository, only by its path."
    )
    if path or glob:
        hints.append("Leave out path and glob to search everything else.")
    return f"Nothing matches {_cut(pattern)!r} {where}{named}. {' '.join(hints)}"


def _found(found: SearchResult) -> str:
    total = sum(count for _, count in found.files)
    files, matches = ("file" if len(found.files) == 1 else "files"), ("line" if total == 1 else "lines")
    head = f"{len(found.files)} {files}, {total} {matches}:"
    listed = [f"  {path} ({count})" for path, count in found.files[:LISTED_FILES]]
    if len(found.files) > LISTED_FILES:
        listed.append(f"  … and {len(found.files) - LISTED_FILES} more files")
    lines = [head, *listed, ""]
    lines += [f"{match.path}:{match.line}: {_cut(match.text)}" for match in found.matches]
    text = "\n".join(lines)
    if len(text) > SEARCH_CHARS:
        text = text[:SEARCH_CHARS].rpartition("\n")[0]
        return f"{text}\n[more matches; narrow the pattern, path or glob]"
    return f"{text}\n[more matches; narrow the pattern, path or glob]" if found.truncated else text
