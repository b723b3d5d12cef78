"""What the launcher inside a sandbox is told, and what the shells of this machine make of it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from agents.sandbox import orders, owners
from agents.sandbox.arguments import Host
from agents.sandbox.types import MIB, Limits
from mcc.core.errors import InvalidInput

SHELLS = {"dash": ["/bin/dash"], "bash": ["/bin/bash", "--posix"]}
"""Either may be /bin/sh, and then behaves so."""
SMALL_LIMITS = Limits(processes=4000, open_files=99, file_size=MIB, cpu_s=7, memory=64 * MIB)
ODD_WORDS = [
    os.fsdecode(bytes(range(1, 256)) * 2),
    *("", "\n", "two\nlines\n", "trailing\\\n", "\\n\\", "'\"$n`\\", "$n ${n} $(ls)", "-x", "*", "~", "a=b", "é漢字"),
]
TELL = "import sys; sys.stdout.buffer.write(repr((sys.argv[1:], sys.stdin.buffer.read())).encode())"


@pytest.fixture(params=SHELLS)
def shell(request) -> list[str]:
    return SHELLS[request.param]


def _order(argv, start="/", env=None, limits=SMALL_LIMITS, *, host: Host | None = None, has_input=False) -> bytes:
    return orders.order(argv, str(start), env or {}, limits, host=host or Host.look(), has_input=has_input)


def _obeyed(shell: list[str], words: bytes) -> "subprocess.CompletedProcess[bytes]":
    launcher = [*shell, "-c", orders.OBEY, "mark"]
    return subprocess.run(launcher, input=words, capture_output=True, check=False, env={"PATH": "/usr/bin:/bin"})


def _host_of(shell: list[str]) -> Host:
    return replace(Host.look(), limits_processes="-p" if shell[0].endswith("dash") else "-u")


def test_a_command_gets_its_words_and_its_input_byte_for_byte(shell):
    words = _order([sys.executable, "-c", TELL, *ODD_WORDS], limits=Limits(), host=_host_of(shell), has_input=True)

    told = _obeyed(shell, words + b"first\nsecond \0 line")

    assert told.stdout.decode() == repr((ODD_WORDS, b"first\nsecond \0 line")), told.stderr


def test_a_command_without_input_reads_from_nowhere(shell):
    words = _order(["/usr/bin/readlink", "/proc/self/fd/0"], host=_host_of(shell))

    assert _obeyed(shell, words).stdout == b"/dev/null\n"


def test_an_order_that_was_cut_off_is_not_obeyed(shell, tmp_path):
    words = _order(["/usr/bin/touch", str(tmp_path / "done")], host=_host_of(shell))

    for length in range(len(words) - 1):
        assert not _obeyed(shell, words[:length]).stdout
    assert not (tmp_path / "done").exists()
    _obeyed(shell, words)
    assert (tmp_path / "done").exists()


def test_variables_of_the_command_win_over_those_that_are_there(shell):
    words = _order(["/usr/bin/env"], env={"PATH": "/mine:/usr/bin", "ODD": "a'b\nc $n"}, host=_host_of(shell))

    lines = _obeyed(shell, words).stdout

    assert b"PATH=/mine:/usr/bin\n" in lines
    assert b"ODD=a'b\nc $n\n" in lines


def test_a_command_starts_where_it_is_told_or_not_at_all(shell, tmp_path):
    odd = tmp_path / "-odd '\n name"
    odd.mkdir()

    assert _obeyed(shell, _order(["/bin/pwd"], odd, host=_host_of(shell))).stdout == f"{odd}\n".encode()
    assert _obeyed(shell, _order(["/bin/pwd"], tmp_path / "no", host=_host_of(shell))).returncode == 125


def test_every_limit_is_set_before_the_command_or_it_does_not_start(shell):
    host = _host_of(shell)
    words = _order(["/usr/bin/cat", "/proc/self/limits"], host=host)

    shown = _obeyed(shell, words).stdout.decode()

    rows = {line[:26].strip(): line[26:].split()[:2] for line in shown.splitlines()}
    assert rows["Max processes"] == ["4000", "4000"]
    assert rows["Max open files"] == ["99", "99"]
    assert rows["Max file size"] == [str(MIB)] * 2
    assert rows["Max cpu time"] == ["7", "7"]
    assert rows["Max data size"] == [str(64 * MIB)] * 2
    assert rows["Max core file size"] == ["0", "0"]
    too_many = words.replace(f"ulimit {host.limits_processes} 4000".encode(), b"ulimit -Z 1")
    refused = _obeyed(shell, too_many)
    assert refused.returncode != 0
    assert not refused.stdout


@pytest.mark.parametrize("word", ["a\0b", "half \ud83d", "x" * (orders.LONGEST_WORD + 1)])
def test_what_no_command_can_be_is_refused_in_words(word):
    for order in (lambda: _order(["echo", word]), lambda: _order(["echo"], env={"NAME": word})):
        with pytest.raises(InvalidInput, match="command"):
            order()


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A;touch /tmp/x;B", "A\nB"])
def test_a_variable_has_a_name_that_a_shell_knows(name):
    with pytest.raises(InvalidInput, match="variable"):
        _order(["echo"], env={name: "1"})


def test_the_longest_command_is_obeyed(shell):
    words = _order(["/usr/bin/printf", "%s", "x" * 120_000], host=_host_of(shell))

    assert len(_obeyed(shell, words).stdout) == 120_000


def test_the_command_line_on_the_host_does_not_show_what_is_run():
    line = orders.command_line(Path("/usr/bin/bwrap"), host=replace(Host.look(), lends_nice=False), arguments_fd=9)

    assert line == ["/usr/bin/bwrap", "--args", "9", "--", "/bin/sh", "-c", orders.OBEY, owners.mark()]


def test_niceness_is_set_inside_only_where_it_cannot_be_set_from_outside():
    host = Host.look()

    for lends_nice in (False, True):
        line = orders.command_line(Path("/bwrap"), host=replace(host, lends_nice=lends_nice), arguments_fd=9)
        assert ("/usr/bin/nice" in line) is lends_nice
