"""Searching a workspace with git: what it is asked, and what it answers.

Patterns are extended regular expressions, which every git has. What models write beside that, and what would find
nothing then without a word, is put into such: ``\\d``, ``\\t``, a ``$`` before the carriage return that ends a line.
"""

import re
from collections.abc import Iterator

from agents.sandbox.errors import SandboxPathError
from agents.sandbox.found import Match, SearchResult
from agents.sandbox.types import MIB

SEARCH_OUTPUT = 2 * MIB
"""Of the files with their numbers, and of the lines."""
ASKED_MAX = 1000
"""Characters of a pattern and of a glob. Both are read here, in the process that all runs of a worker share."""
GLOBS_MAX = 64
LINE_MAX = 500

# Git searches, whether there is a repository or none: it knows what is ignored, follows no symlink, opens no device.
# The repository's own configuration is the agent's and is overruled where it matters. The answer: the directory that
# names are relative to, the number of lines of each file, how that ended, then the lines.
SEARCH = """
[ -e "$r" ] || no missing
pattern=$2 most=$3; shift 3
d=$r
if [ -d "$r" ]; then
    [ $# -gt 0 ] || set -- .
else
    d=$(dirname -- "$r" && printf .); d=${d%?.}
    set -- ":(literal)${r##*/}"
fi
cd -- "$d" || no failed
export GIT_CEILING_DIRECTORIES=/ GIT_OPTIONAL_LOCKS=0
export GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.fsmonitor GIT_CONFIG_VALUE_0=false
if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then mode='--no-index --exclude-standard'
elif git check-ignore -q -- "$r" 2>/dev/null; then mode='--untracked --no-exclude-standard'
else mode=--untracked; fi
plain='-E -I -z --no-textconv --no-color --no-column --no-heading --no-break --no-full-name'
look() {
    what=$1; shift
    git grep $mode $plain "$what" -e "$pattern" -- "$@"; code=$?
    # What is tracked although it is ignored, git leaves out when it looks for untracked files.
    [ "$mode" != --untracked ] || git ls-files -z --cached --ignored --exclude-standard -- "$@" |
        xargs -0 -r git --literal-pathspecs grep $plain "$what" -e "$pattern" --
    return "$code"
}
printf 'ok 0\\n%s\\0' "${d#/workspace}"
{
    why=$(look --count "$@" 2>&1 >&3)
    printf '\\0\\0%s %s\n' "$?" "$(printf %.300s "$why" | tr '\n' ' ')"
} 3>&1 | head -c "$most"
look --line-number "$@" 2>/dev/null | cut -b 1-1500 | head -c "$most"
"""

SEARCH_LINE = re.compile(rb"([^\0]+)\0(\d+)[\0:](.*)", re.DOTALL)
NO_PATTERN = "fatal: -e option,"

# What a backslash takes, a bracket expression, in which it takes nothing, or the end of a line. It never looks back.
PIECE = re.compile(r"\\.|\[\^?+\]?+(?:\[:[a-z]{1,10}:\]|[^\]])*+\]?|\$", re.DOTALL)
INSTEAD = {"\\d": "[0-9]", "\\D": "[^0-9]", "\\t": "\t", "\\'": "'", "\\`": "`", "$": "\r?$"}
"""The quotes are no quotes behind a backslash, but the ends of the text."""
BRACES = re.compile(r"\{([^{},]*+,[^{}]*+)\}")
WILD = re.compile(r"[*?\[]")


def asked(pattern: str, glob: str) -> tuple[str, list[str]]:
    """Return both as git is asked for them. Raises SandboxPathError."""
    for name, text in (("pattern", pattern), ("glob", glob)):
        if len(text) > ASKED_MAX:
            raise SandboxPathError(f"The {name} has {len(text):,} characters; at most {ASKED_MAX:,} are looked for.")
    specs = pathspecs(glob)
    if glob.strip() and not specs:
        raise SandboxPathError(f"The glob {glob!r} names no file.")
    return extended(pattern), specs


def extended(pattern: str) -> str:
    """Return ``pattern`` as an extended regular expression that means what it says."""
    return PIECE.sub(lambda piece: INSTEAD.get(piece[0], piece[0]), pattern)


def pathspecs(glob: str) -> list[str]:
    """Return what ``glob`` names, for git: files by name or path, directories with all in them, with commas between."""
    names = dict.fromkeys(name.strip() for name in _expanded(glob))
    return [spec for name in names for spec in _specs(name)]


def _specs(name: str) -> Iterator[str]:
    path = name.removeprefix("./").rstrip("/")
    if path in ("", "."):
        if name:
            yield ":(glob)**"
        return
    spec = f":(glob){path.lstrip('/')}" if "/" in path else f":(glob)**/{path}"
    if not name.endswith("/"):
        yield spec
    if name.endswith("/") or not WILD.search(path.rpartition("/")[2]):
        yield f"{spec}/**"


def _listed(glob: str) -> list[str]:
    """Return the parts of ``glob`` between commas outside of braces, and all of it: a name may have a comma."""
    parts, depth = [""], 0
    for char in glob:
        depth += (char == "{") - (char == "}")
        if char == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += char
    return [glob] if len(parts) == 1 else [glob, *parts]


def _expanded(glob: str) -> list[str]:
    """Return the parts of ``glob`` with their braces, which git does not know, written out."""
    globs = _listed(glob)
    while found := next(filter(None, map(BRACES.search, globs)), None):
        braced, at = found.string, globs.index(found.string)
        head, tail = braced[: found.start()], braced[found.end() :]
        globs[at : at + 1] = [f"{head}{part}{tail}" for part in found.group(1).split(",")]
        if len(globs) > GLOBS_MAX:
            break
    if len(globs) > GLOBS_MAX:
        raise SandboxPathError(f"{glob!r} stands for more than {GLOBS_MAX} names.")
    return globs


def result(data: bytes, pattern: str, limit: int) -> SearchResult:
    """Read the answer of SEARCH; keep the first ``limit`` lines. A name with a newline may get lost."""
    inside, _, found = data.partition(b"\0")
    counted, is_whole, rest = found.partition(b"\0\0")
    ending, _, lines = rest.partition(b"\n")
    _check_ending(ending.decode("utf-8", "replace") if is_whole else "0", pattern)

    def path_of(name: bytes) -> str:
        return (inside + b"/" + name).decode("utf-8", "replace").lstrip("/")

    numbers = [line.partition(b"\0") for line in counted.split(b"\n")]
    files = tuple((path_of(name), int(number)) for name, _, number in numbers if number.isdigit())
    split = [SEARCH_LINE.fullmatch(line) for line in lines.split(b"\n")]
    matches = [
        Match(path_of(line[1]), int(line[2]), line[3].removesuffix(b"\r")[:LINE_MAX].decode("utf-8", "replace"))
        for line in split[: limit + 1]
        if line
    ]
    is_cut = not is_whole or len(lines) >= SEARCH_OUTPUT or len(matches) > limit
    return SearchResult(files, tuple(matches[:limit]), is_cut)


def _check_ending(ending: str, pattern: str) -> None:
    """Raise SandboxPathError unless git found something (0) or nothing (1)."""
    code, _, why = ending.partition(" ")
    if code in ("0", "1"):
        return
    if why.startswith(NO_PATTERN):
        reason = why.strip().rpartition(": ")[2]
        raise SandboxPathError(f"{pattern!r} is no extended regular expression: {reason}.")
    raise SandboxPathError(f"Nothing could be searched: {why.strip() or f'git ended with {code}'}.")
