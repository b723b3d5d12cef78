"""Reading, writing, listing and searching a workspace, by POSIX sh and coreutils inside the sandbox.

The host never opens a name that an agent chose: a symlink, a FIFO or a device would be waiting there. Each script
answers a first line, ``ok <number>`` or ``no <problem>``, and then the data.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Event

from agents.sandbox import searching
from agents.sandbox.errors import PathProblem, SandboxPathError, SandboxProtocolError, SandboxQuotaError
from agents.sandbox.found import NEW_FILE_MODE, Entry, EntryKind, FileMode, FileSlice, LinesSlice, SearchResult
from agents.sandbox.searching import SEARCH, SEARCH_OUTPUT
from agents.sandbox.types import MIB, WORKSPACE, Ending, Limits, OnOutput, Result, SandboxSpec

TOOL_WALL_S = 20.0
WRITE_MAX = 64 * MIB
LINES_MAX = 512 * MIB
"""Of a file whose lines are counted."""
LIST_OUTPUT = 8 * MIB

# $r becomes the real path of $1. The dot keeps $(...) from eating newlines at the end of a name.
RESOLVE = """
no() { printf 'no %s\\n' "$1"; exit 0; }
r=$(realpath -m -- "$1" 2>/dev/null && printf .) || no failed
r=${r%.}; r=${r%
}
case "$r" in /workspace|/workspace/*) ;; *) no outside;; esac
"""
READ = """
[ -e "$r" ] || no missing
[ -f "$r" ] || no not_a_file
[ -r "$r" ] || no failed
printf 'ok %s\\n' "$(stat -c %s -- "$r")"
tail -c "+$(($2 + 1))" -- "$r" 2>/dev/null | head -c "$3"
"""
READ_LINES = """
[ -e "$r" ] || no missing
[ -f "$r" ] || no not_a_file
[ -r "$r" ] || no failed
size=$(stat -c %s -- "$r")
binary=$(head -c 8192 -- "$r" | tr -dc '\\0' | wc -c)
printf 'ok %s\n' "$size"
if [ "$size" -gt "$5" ]; then printf -- '- %s\n' "$binary"; exit 0; fi
lines=$(wc -l < "$r")
[ "$size" -eq 0 ] || lines=$((lines + 1 - $(tail -c 1 -- "$r" | wc -l)))
printf '%s %s\n' "$lines" "$binary"
tail -n "+$2" -- "$r" 2>/dev/null | head -n "$3" | head -c "$4"
"""
REAL = """
printf 'ok 0\\n'
shift
for name; do realpath -mz -- "$name" 2>/dev/null || printf '\\0'; done
"""
MODE = """
[ -e "$r" ] || no missing
[ -f "$r" ] || no not_a_file
printf 'ok %s\\n' "$(stat -c %a -- "$r")"
if [ -L "$1" ]; then printf link; fi
"""
WRITE = """
if [ -e "$r" ] || [ -L "$1" ]; then [ "$2" = overwrite ] || no exists; fi
if [ -e "$r" ] && [ ! -f "$r" ]; then no not_a_file; fi
d=$(dirname -- "$r" && printf .); d=${d%?.}
exec 2>/dev/null
mkdir -p -- "$d" && t=$(mktemp -- "$d/.mcc.XXXXXXXX") || no failed
new=$3
mode() { if [ -e "$r" ]; then chmod --reference="$r" -- "$t"; else chmod "$new" -- "$t"; fi; }
if cat > "$t" && mode && mv -fT -- "$t" "$r"
then printf 'ok 0\\n'; else rm -f -- "$t"; no failed; fi
"""
REMOVE = """
[ -e "$r" ] || [ -L "$1" ] || no missing
if [ -e "$r" ] && [ ! -f "$r" ]; then no not_a_file; fi
rm -f -- "$1" 2>/dev/null || no failed
printf 'ok 0\\n'
"""
LIST = """
[ -e "$r" ] || no missing
[ -d "$r" ] || no not_a_directory
printf 'ok 0\\n'
find "$r" -mindepth 1 -maxdepth "$2" -name .git -prune -o -printf '%P\\t%y\\t%s\\0' 2>/dev/null |
    sort -z | head -z -n "$3"
"""
KINDS = {"f": EntryKind.FILE, "d": EntryKind.DIRECTORY, "l": EntryKind.SYMLINK}
WORDS = {
    PathProblem.OUTSIDE: "is outside the workspace",
    PathProblem.MISSING: "does not exist",
    PathProblem.EXISTS: "exists already",
    PathProblem.NOT_A_FILE: "is not a regular file",
    PathProblem.NOT_A_DIRECTORY: "is not a directory",
    PathProblem.FAILED: "could not be read or written",
}


class FileTools(ABC):
    """The file tools of a sandbox, made of its ``run``."""

    spec: SandboxSpec

    @abstractmethod
    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        limits: Limits | None = None,
        on_output: OnOutput | None = None,
        cancel: Event | None = None,
        offline: bool = False,
    ) -> Result: ...

    def sh(
        self,
        script: str,
        *,
        cwd: str = "",
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        limits: Limits | None = None,
        on_output: OnOutput | None = None,
        cancel: Event | None = None,
    ) -> Result:
        return self.run(
            ["bash", "-c", script],
            cwd=cwd,
            env=env,
            stdin=stdin,
            limits=limits,
            on_output=on_output,
            cancel=cancel,
        )

    def read_file(self, path: str, offset: int = 0, limit: int = MIB) -> FileSlice:
        size, data = self._ask(READ, path, str(max(0, offset)), str(max(0, limit)), most=limit)
        return FileSlice(size, data)

    def read_lines(self, path: str, start: int = 1, count: int = 400, limit: int = MIB) -> LinesSlice:
        numbers = (max(1, start), max(1, count), max(0, limit), LINES_MAX)
        size, answer = self._ask(READ_LINES, path, *map(str, numbers), most=limit)
        head, _, data = answer.partition(b"\n")
        lines, _, nuls = head.decode().partition(" ")
        return LinesSlice(size, int(lines) if lines.isdigit() else None, nuls.strip() != "0", data)

    def real_paths(self, paths: Sequence[str]) -> list[str]:
        _, data = self._ask(REAL, "", *map(_absolute, paths), most=MIB)
        names = [os.fsdecode(name) for name in data.split(b"\0")[:-1]]
        if len(names) != len(paths):
            raise SandboxProtocolError(f"A file tool named {len(names)} real paths of {len(paths)}.")
        return names

    def mode_of(self, path: str) -> FileMode:
        digits, word = self._ask(MODE, path)
        return FileMode(int(str(digits), 8), word == b"link")

    def write_file(self, path: str, data: bytes, *, overwrite: bool = True, mode: int = NEW_FILE_MODE) -> None:
        if len(data) > WRITE_MAX:
            raise SandboxPathError(f"{path}: a file of more than {WRITE_MAX // MIB} MiB cannot be written.")
        self._ask(WRITE, path, "overwrite" if overwrite else "new", f"{mode & 0o777:o}", stdin=data)

    def remove_file(self, path: str) -> None:
        self._ask(REMOVE, path)

    def list_dir(self, path: str = "", depth: int = 1, limit: int = 2000) -> list[Entry]:
        _, data = self._ask(LIST, path, str(max(1, depth)), str(max(1, limit)), most=LIST_OUTPUT)
        return [_entry(line) for line in data.split(b"\0")[:-1]]

    def search(self, pattern: str, path: str = "", glob: str = "", limit: int = 200) -> SearchResult:
        extended, specs = searching.asked(pattern, glob)
        _, data = self._ask(SEARCH, path, extended, str(SEARCH_OUTPUT), *specs, most=2 * SEARCH_OUTPUT)
        return searching.result(data, pattern, limit)

    def _ask(self, script: str, path: str, *arguments: str, stdin: bytes = b"", most: int = 0) -> tuple[int, bytes]:
        """Run a script on ``path`` and return the number and the data of its answer."""
        if "\0" in path or any("\0" in argument for argument in arguments):
            raise SandboxPathError("A NUL byte is not possible in a path.")
        limits = replace(self.spec.limits, wall_s=TOOL_WALL_S, output_kept=2 * most + 8192, output=2 * most + MIB)
        result = self.run(
            ["/bin/sh", "-c", RESOLVE + script, "mcc", _absolute(path), *arguments],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=stdin,
            limits=limits,
            offline=True,
        )
        return _answer(result, path)


def _absolute(path: str) -> str:
    return path if path.startswith("/") else f"{WORKSPACE}/{path}"


def _answer(result: Result, path: str) -> tuple[int, bytes]:
    name = path or "The workspace"
    if result.outcome is Ending.DISK_LIMIT:
        raise SandboxQuotaError(f"{name}: {result.detail}.")
    if result.outcome is not Ending.EXITED:
        raise SandboxPathError(f"{name}: {result.outcome.replace('_', ' ')} {result.detail}".strip() + ".")
    head, _, data = result.output.partition(b"\n")
    verdict, _, word = head.decode("utf-8", "replace").partition(" ")
    if verdict == "ok" and word.isdigit():
        return int(word), data
    if verdict == "no" and word in set(PathProblem):
        problem = PathProblem(word)
        if problem is PathProblem.FAILED and result.detail:
            raise SandboxQuotaError(f"{name}: {result.detail}.")
        raise SandboxPathError(f"{name} {WORDS[problem]}.", problem=problem)
    raise SandboxProtocolError(f"A file tool answered: {result.text[:200]}")


def _entry(line: bytes) -> Entry:
    path, kind, size = line.decode("utf-8", "replace").rsplit("\t", 2)
    return Entry(path, KINDS.get(kind, EntryKind.OTHER), int(size))
