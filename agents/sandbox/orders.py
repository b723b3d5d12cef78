"""The launcher inside a sandbox, and how it is told its command: one line of shell, the first of what it reads.

So a sandbox can be made before anybody knows what for. The launcher reads the line byte by byte, as POSIX wants of
``read``: what follows it is the command's own input. A line that was cut off is not obeyed.
"""

import os
import re
import resource
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import Final

from agents.sandbox import owners
from agents.sandbox.arguments import LAUNCHER, NICENESS, Host
from agents.sandbox.types import Limits
from mcc.core.errors import InvalidInput

OBEY: Final = "n='\n'; IFS= read -r order && eval \"$order\""
"""What the launcher does. ``$n`` stands for the newlines of an order."""
FIRST_TO_DIE: Final = "{ echo 900 > /proc/self/oom_score_adj; } 2> /dev/null"
PROCESSES_OF_A_USER: Final = 4096
LONGEST_WORD: Final = 128 * 1024 - 1
LONGEST: Final = 1024 * 1024
"""The kernel takes words of 128 KiB and, with a stack of 8 MiB, 2 MiB in all, with the variables."""
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def command_line(binary: Path, *, host: Host, arguments_fd: int) -> list[str]:
    """Return everything that is executed on the host: bwrap, and inside it a shell that waits for its order.

    The shell in place of prlimit, choom and another shell: each program that is started costs a millisecond.
    """
    nice = ["/usr/bin/nice", "-n", str(NICENESS)] if host.lends_nice else []
    return [str(binary), "--args", str(arguments_fd), "--", *nice, str(LAUNCHER), "-c", OBEY, owners.mark()]


def order(
    argv: Sequence[str],
    start: str,
    env: Mapping[str, str],
    limits: Limits,
    *,
    host: Host,
    has_input: bool,
) -> bytes:
    """Return the line that makes the launcher the kernel's choice when memory is short, limits it, and turns it into
    ``argv`` in the directory ``start``. Without limits nothing starts.

    Limits are set inside, where the new user namespace counts the processes. Raises InvalidInput for what no command
    can be.
    """
    _check([*argv, start, *(f"{name}={value}" for name, value in env.items())])
    if strange := [name for name in env if not _VARIABLE.fullmatch(name)]:
        raise InvalidInput(f"{strange[0]} is no name for a variable.")
    set_limits = " && ".join(f"ulimit {option} {value}" for option, value in _resource_limits(limits, host))
    exports = "".join(f"export {_word(f'{name}={value}')}; " for name, value in env.items())
    command = " ".join(map(_word, argv)) + ("" if has_input else " < /dev/null")
    line = f"{FIRST_TO_DIE}; {set_limits} || exit 125; cd -- {_word(start)} || exit 125; {exports}exec {command}\n"
    return os.fsencode(line)


def _check(words: Sequence[str]) -> None:
    try:
        sizes = [len(os.fsencode(word)) for word in words]
    except UnicodeEncodeError as error:
        raise InvalidInput("Half a character is not possible in a command.") from error
    if any("\0" in word for word in words):
        raise InvalidInput("A NUL byte is not possible in a command.")
    if max(sizes) > LONGEST_WORD or sum(sizes) > LONGEST:
        raise InvalidInput("The command is too long: put it into a file, then run that.")


def _word(word: str) -> str:
    """Return ``word`` as the launcher's shell reads it, in one line."""
    return quote(word).replace("\n", "'\"$n\"'")


def _resource_limits(limits: Limits, host: Host) -> list[tuple[str, int]]:
    """Return options of ``ulimit`` with what they take: blocks of 512 bytes for files, KiB for data."""
    processes = limits.processes if host.can_count_processes else max(PROCESSES_OF_A_USER, limits.processes)
    cpu_s = limits.cpu_s or int(limits.wall_s * max(1, limits.cpus)) + 5
    return [
        (host.limits_processes, _clamp(resource.RLIMIT_NPROC, processes)),
        ("-n", _clamp(resource.RLIMIT_NOFILE, limits.open_files)),
        ("-f", _clamp(resource.RLIMIT_FSIZE, limits.file_size) // 512),
        ("-t", _clamp(resource.RLIMIT_CPU, cpu_s)),
        ("-d", _clamp(resource.RLIMIT_DATA, limits.memory) // 1024),
        ("-c", 0),
    ]


def _clamp(which: int, value: int) -> int:
    """Raising a hard limit is refused to a process without privileges, so stay below it."""
    hard = resource.getrlimit(which)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)
