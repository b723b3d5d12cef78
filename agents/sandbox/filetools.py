"""Reading, writing, listing and searching a workspace, by POSIX sh and coreutils inside the sandbox.

The host never opens a name that an agent chose: a symlink, a FIFO or a device would be waiting there. Each script
answers a first line, ``ok <number>`` or ``no <problem>``, and then the data.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Event

from agents.sandbox.types import (
    MIB,
    WORKSPACE,
    Ending,
    Entry,
    EntryKind,
    FileSlice,
    Limits,
    Match,
    OnOutput,
    PathProblem,
    Result,
    SandboxPathError,
    SandboxProtocolError,
    SandboxQuotaError,
    SandboxSpec,
    SearchResult,
)

TOOL_WALL_S = 20.0
WRITE_MAX = 64 * MIB
SEARCH_OUTPUT = 4 * MIB
LIST_OUTPUT = 8 * MIB
LINE_MAX = 500
MATCHES_PER_FILE = 1000

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
WRITE = """
if [ -e "$r" ] || [ -L "$1" ]; then [ "$2" = overwrite ] || no exists; fi
if [ -e "$r" ] && [ ! -f "$r" ]; then no not_a_file; fi
d=$(dirname -- "$r" && printf .); d=${d%?.}
exec 2>/dev/null
mkdir -p -- "$d" && t=$(mktemp -- "$d/.mcc.XXXXXXXX") || no failed
mode() { if [ -e "$r" ]; then chmod --reference="$r" -- "$t"; else chmod 0644 -- "$t"; fi; }
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
SEARCH = """
[ -e "$r" ] || no missing
grep -E -e "$2" /dev/null 2>/dev/null; [ $? -le 1 ] || no pattern
cd /workspace || no failed
p=.${r#/workspace}
printf 'ok 0\\n'
if command -v rg >/dev/null 2>&1; then
    rg --no-config --no-heading --line-number --with-filename --null --hidden --sort path --max-count "$4" \\
        --max-columns 500 --max-columns-preview --glob '!.git' ${3:+--glob "$3"} -e "$2" -- "$p" 2>/dev/null
else
    grep -rIHnE --null -D skip --exclude-dir=.git -m "$4" ${3:+--include="$3"} -e "$2" -- "$p" 2>/dev/null |
        cut -b 1-1500
fi | head -c "$5"
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

    def write_file(self, path: str, data: bytes, *, overwrite: bool = True) -> None:
        if len(data) > WRITE_MAX:
            raise SandboxPathError(f"{path}: a file of more than {WRITE_MAX // MIB} MiB cannot be written.")
        self._ask(WRITE, path, "overwrite" if overwrite else "new", stdin=data)

    def remove_file(self, path: str) -> None:
        self._ask(REMOVE, path)

    def list_dir(self, path: str = "", depth: int = 1, limit: int = 2000) -> list[Entry]:
        _, data = self._ask(LIST, path, str(max(1, depth)), str(max(1, limit)), most=LIST_OUTPUT)
        return [_entry(line) for line in data.split(b"\0")[:-1]]

    def search(self, pattern: str, path: str = "", glob: str = "", limit: int = 200) -> SearchResult:
        arguments = (pattern, glob, str(MATCHES_PER_FILE), str(SEARCH_OUTPUT))
        _, data = self._ask(SEARCH, path, *arguments, most=SEARCH_OUTPUT, subject=pattern)
        return _search_result(data, limit)

    def _ask(
        self, script: str, path: str, *arguments: str, stdin: bytes = b"", most: int = 0, subject: str = ""
    ) -> tuple[int, bytes]:
        """Run a script on ``path`` and return the number and the data of its answer."""
        if "\0" in path or any("\0" in argument for argument in arguments):
            raise SandboxPathError("A NUL byte is not possible in a path.")
        limits = replace(self.spec.limits, wall_s=TOOL_WALL_S, output_kept=2 * most + 8192, output=2 * most + MIB)
        absolute = path if path.startswith("/") else f"{WORKSPACE}/{path}"
        result = self.run(
            ["/bin/sh", "-c", RESOLVE + script, "mcc", absolute, *arguments],
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
            stdin=stdin,
            limits=limits,
            offline=True,
        )
        return _answer(result, path, subject)


def _answer(result: Result, path: str, subject: str) -> tuple[int, bytes]:
    name = path or "The workspace"
    if result.outcome is Ending.DISK_LIMIT:
        raise SandboxQuotaError(f"{name}: {result.detail}.")
    if result.outcome is not Ending.EXITED:
        raise SandboxPathError(f"{name}: {result.outcome.replace('_', ' ')} {result.detail}".strip() + ".")
    head, _, data = result.output.partition(b"\n")
    verdict, _, word = head.decode("utf-8", "replace").partition(" ")
    if verdict == "ok" and word.isdigit():
        return int(word), data
    if verdict == "no" and word == "pattern":
        raise SandboxPathError(f"{subject!r} is no extended regular expression.")
    if verdict == "no" and word in set(PathProblem):
        problem = PathProblem(word)
        if problem is PathProblem.FAILED and result.detail:
            raise SandboxQuotaError(f"{name}: {result.detail}.")
        raise SandboxPathError(f"{name} {WORDS[problem]}.", problem=problem)
    raise SandboxProtocolError(f"A file tool answered: {result.text[:200]}")


def _entry(line: bytes) -> Entry:
    path, kind, size = line.decode("utf-8", "replace").rsplit("\t", 2)
    return Entry(path, KINDS.get(kind, EntryKind.OTHER), int(size))


def _search_result(data: bytes, limit: int) -> SearchResult:
    """Count the lines of each file, keep the first ``limit`` of them all. A name with a newline may get lost."""
    counts: dict[str, int] = {}
    matches: list[Match] = []
    for line in data.split(b"\n"):
        name, nul, rest = line.partition(b"\0")
        number, colon, text = rest.partition(b":")
        if not nul or not colon or not number.isdigit():
            continue
        path = name.decode("utf-8", "replace").removeprefix("./")
        counts[path] = counts.get(path, 0) + 1
        matches.append(Match(path, int(number), text[:LINE_MAX].decode("utf-8", "replace")))
    is_cut = len(data) >= SEARCH_OUTPUT or len(matches) > limit
    return SearchResult(tuple(counts.items()), tuple(matches[:limit]), is_cut)
