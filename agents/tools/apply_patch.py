"""The tool ``apply_patch``, in place of ``edit`` for models that were trained on it. All files change, or none."""

from dataclasses import dataclass
from functools import partial
from typing import Final

from agents.models import Role
from agents.sandbox.errors import PathProblem, SandboxPathError
from agents.sandbox.found import NEW_FILE_MODE
from agents.sandbox.types import Sandbox
from agents.tools import editing, files, patching, syntax
from agents.tools.editing import EditRefused
from agents.tools.patching import Hunk, Section
from agents.tools.registry import JSON, ToolContext, ToolResult, tool
from agents.tools.syntax import Draft
from mcc.core.errors import DomainError

LISTED: Final = 20
CARRIED_OUT_AGAIN: Final = (
    "Mission Control was stopped while it carried out this call, and has carried it out again. What stood there "
    "already was left as it is: `view` the files before you go on."
)

DESCRIPTION: Final = """\
Change files by a patch, all of them or none. The patch:
*** Begin Patch
*** Update File: path/of/file.py
@@ def around_it():
 three lines of context
-old line
+new line
 three lines of context
*** Add File: path/of/new.py
+every line with a plus
*** Delete File: path/of/old.py
*** End Patch
Paths are relative to the root of the repository. `*** Move to: path` after `*** Update File` renames. Context must be \
quoted as it stands in the file and be unique there, or an `@@` line says behind which line to look. It is refused if \
a file would no longer parse."""


@dataclass(frozen=True)
class Change:
    """One file as it was and as it shall be; None where there is none.

    ``mode`` is for a file that is made: of one that is moved here, or of this one when it is put back. ``moved`` is the
    text of the former.
    """

    path: str
    before: str | None
    after: str | None
    mode: int
    moved: str | None


@tool(
    "apply_patch",
    DESCRIPTION,
    {
        "type": "object",
        "properties": {"patch": {"type": "string", "description": "from *** Begin Patch to *** End Patch"}},
        "required": ["patch"],
        "additionalProperties": False,
    },
    roles=[Role.CODER],
    instead_of="edit",
)
@syntax.refusing_once
def apply_patch(context: ToolContext, patch: str) -> ToolResult:
    sandbox = context.workplace.sandbox()
    plan, sections = Plan(context, sandbox), patching.parse(patch)
    _check_names(sandbox, sections)
    for section in sections:
        plan.take(section)
    changes = plan.changes()
    if not changes:
        said = CARRIED_OUT_AGAIN if context.again else "Nothing to do: all files already say so."
        return ToolResult(said, detail={"added": 0, "removed": 0})
    notes = _notes(context, changes)
    _carry_out(sandbox, changes)
    told = [f"{_verb(change)} {change.path}.{notes.get(change.path, '')}" for change in changes[:LISTED]]
    if len(changes) > LISTED:
        told.append(f"And {len(changes) - LISTED} more files.")
    if context.again:
        told.append(CARRIED_OUT_AGAIN)
    return ToolResult("\n".join(told), detail=_detail(changes))


def _check_names(sandbox: Sandbox, sections: list[Section]) -> None:
    """Raise EditRefused when a file goes by two names: what is done to it by one would be lost by the other."""
    named = [files.inside(name) for each in sections for name in (each.path, each.moved_to) if name]
    names = list(dict.fromkeys(named))
    real_paths = sandbox.real_paths(names) if len(names) > 1 else names
    seen: dict[str, str] = {}
    for name, real in zip(names, real_paths, strict=True):
        first = seen.setdefault(real or name, name)
        if first != name:
            raise EditRefused(f"{first} and {name} are one file, by a symbolic link: change it by one of its names.")


def _notes(context: ToolContext, changes: list[Change]) -> dict[str, str]:
    """Return what is to be said of files, by path. Raises EditRefused when one would be broken."""
    drafts = [
        Draft(change.path, change.moved if change.before is None else change.before, change.after)
        for change in changes
        if change.after is not None
    ]
    return dict(zip((draft.path for draft in drafts), syntax.examined(context, drafts), strict=True))


class Plan:
    """What becomes of each file; one may have several sections. The order of ``after`` is that of the changes."""

    def __init__(self, context: ToolContext, sandbox: Sandbox) -> None:
        self._context = context
        self._sandbox = sandbox
        self._before: dict[str, str | None] = {}
        self._after: dict[str, str | None] = {}
        self._modes: dict[str, int] = {}
        self._moved: dict[str, str | None] = {}
        self._change = partial(patching.changed, again=context.again)

    def changes(self) -> list[Change]:
        return [
            Change(path, self._before[path], after, self._modes.get(path, NEW_FILE_MODE), self._moved.get(path))
            for path, after in self._after.items()
            if self._before[path] != after
        ]

    def take(self, section: Section) -> None:
        """Raises EditRefused, NotWritable."""
        path = files.writable(self._context, section.path)
        target = files.writable(self._context, section.moved_to) if section.moved_to else path
        there = self._look(path)
        if section.content is not None:
            self._after[path] = _added(path, there, section.content)
            return
        if not self._context.again:
            self._required(path, there)
        if section.hunks is None:
            if there is not None:
                self._leave(path)
            self._after[path] = None
        elif target == path:
            self._after[path] = self._change(path, self._required(path, there), section.hunks)
        else:
            self._move(path, target, there, section.hunks)

    def _move(self, path: str, target: str, there: str | None, hunks: list[Hunk]) -> None:
        at_target = self._look(target)
        if there is None and at_target is not None:
            # Renamed already, before the call was broken off.
            self._after[target] = self._change(target, at_target, hunks)
            return
        self._after[target] = self._change(path, self._required(path, there), hunks)
        if at_target not in (None, self._after[target]):
            raise EditRefused(f"{target} exists already: nothing is moved over it.")
        self._modes[target], self._moved[target] = self._leave(path), self._before[path]
        # Behind its target: who is killed between the two must not have lost the only copy.
        del self._after[path]
        self._after[path] = None

    def _look(self, path: str) -> str | None:
        if path not in self._after:
            self._before[path] = self._after[path] = _text_or_none(self._sandbox, path)
        return self._after[path]

    def _leave(self, path: str) -> int:
        """Return the mode of a file that goes. Raises EditRefused when it is a link: its text is another file's."""
        if path not in self._modes and self._before[path] is not None:
            mode = self._sandbox.mode_of(path)
            if mode.is_link:
                raise EditRefused(f"{path} is a symbolic link, which a patch neither moves nor deletes: use a command.")
            self._modes[path] = mode.bits
        return self._modes.get(path, NEW_FILE_MODE)

    def _required(self, path: str, text: str | None) -> str:
        if text is None:
            missing = SandboxPathError(f"{path} does not exist.", problem=PathProblem.MISSING)
            detail = files.likely(self._sandbox, path, missing).detail
            raise EditRefused(f"{detail} A new file is added with `{patching.ADD} {path}`.")
        return text


def _added(path: str, there: str | None, content: str) -> str:
    if there not in (None, content):
        raise EditRefused(f"{path} exists already: update it, or delete it first.")
    return content


def _text_or_none(sandbox: Sandbox, path: str) -> str | None:
    try:
        return files.text_of(sandbox, path)
    except SandboxPathError as error:
        if error.problem is PathProblem.MISSING:
            return None
        raise


def _carry_out(sandbox: Sandbox, changes: list[Change]) -> None:
    """Write all files, or none: what was written before something was refused is put back.

    One that is killed in between leaves a part; the call is made again then, and does the rest.
    """
    done: list[Change] = []
    try:
        for change in changes:
            _put(sandbox, change, change.after)
            done.append(change)
    except DomainError as refusal:
        left = [change.path for change in reversed(done) if not _is_put_back(sandbox, change)]
        if left:
            raise EditRefused(
                f"{refusal.detail} These were changed by then and are still: {', '.join(left)}."
            ) from None
        raise


def _is_put_back(sandbox: Sandbox, change: Change) -> bool:
    try:
        _put(sandbox, change, change.before)
    except DomainError:
        return False
    return True


def _put(sandbox: Sandbox, change: Change, text: str | None) -> None:
    if text is not None:
        sandbox.write_file(change.path, text.encode(), mode=change.mode)
        return
    try:
        sandbox.remove_file(change.path)
    except SandboxPathError as error:
        if error.problem is not PathProblem.MISSING:
            raise


def _verb(change: Change) -> str:
    if change.after is None:
        return "Deleted"
    return "Added" if change.before is None else "Edited"


def _detail(changes: list[Change]) -> JSON:
    diffs = [editing.diff(change.path, change.before or "", change.after or "") for change in changes]
    return {
        "path": changes[0].path if len(changes) == 1 else f"{len(changes)} files",
        "paths": [change.path for change in changes[:LISTED]],
        "added": sum(each.added for each in diffs),
        "removed": sum(each.removed for each in diffs),
        "diff": "\n".join(each.text for each in diffs)[: editing.DIFF_CHARS],
    }
