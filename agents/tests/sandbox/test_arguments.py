"""The options of a sandbox, without starting one: the rules that were holes when they were broken."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from agents.sandbox import arguments, etc
from agents.sandbox.arguments import Host, Toolchain
from agents.sandbox.descriptors import Descriptors
from agents.sandbox.types import Limits, Mount, SandboxSpec

MOUNTS = (Mount(Path("/srv/repo.git"), "/mcc/repo.git"), Mount(Path("/srv/out"), "/run/out", read_only=False))
SPEC = SandboxSpec("w1", Path("/srv/w1"), MOUNTS, {"FROM_SPEC": "1", "PATH": "/spec"})
TOOLS = (Toolchain(Path("/opt/node"), ("/opt/node/bin",), Path("/opt/node-22")),)
DESTINATION_AT = {
    **dict.fromkeys(("--bind", "--ro-bind", "--ro-bind-try", "--symlink", "--file"), 2),
    **dict.fromkeys(("--tmpfs", "--dir", "--proc", "--dev", "--remount-ro"), 1),
}


def _options(spec: SandboxSpec = SPEC) -> list[str]:
    with Descriptors() as inherited:
        return arguments.options(spec, Limits(), host=Host.look(), toolchains=TOOLS, inherited=inherited)


def _destinations(options: list[str]) -> list[tuple[str, str]]:
    return [
        (word, options[position + DESTINATION_AT[word]])
        for position, word in enumerate(options)
        if word in DESTINATION_AT
    ]


def test_no_destination_lies_below_the_workspace():
    assert not [place for _, place in _destinations(_options()) if place.startswith("/workspace/")]


def test_the_workspace_is_mounted_after_everything_else():
    kinds = _destinations(_options())

    at = kinds.index(("--bind", "/workspace"))
    assert {kind for kind, _ in kinds[at + 1 :]} == {"--remount-ro"}
    assert kinds[-1] == ("--remount-ro", "/")


def test_bwrap_never_changes_to_a_directory_of_the_agents_choice():
    options = _options()

    assert options.count("--chdir") == 1
    assert options[options.index("--chdir") + 1] == "/workspace"


@pytest.mark.parametrize(
    "target", ["/workspace/x", "/workspace", "/mcc", "/", "/mcc/../etc", "/mcc//x", "mcc/x", "/usr/x"]
)
def test_a_mount_cannot_even_be_described_with_another_target(target):
    with pytest.raises(ValueError, match="target"):
        Mount(Path("/srv"), target)


@pytest.mark.parametrize("second", ["/run/out", "/run/out/below"])
def test_mounts_cannot_be_stacked(second):
    with pytest.raises(ValueError, match="target"):
        SandboxSpec("w1", Path("/srv/w1"), (*MOUNTS, Mount(Path("/srv/x"), second)))


def test_every_temporary_file_system_has_a_size():
    options = _options()

    tmpfs = [position for position, word in enumerate(options) if word == "--tmpfs"]
    assert len(tmpfs) == 3
    assert all(options[position - 2] == "--size" for position in tmpfs)


def test_every_namespace_is_new_and_nothing_is_shared():
    options = _options()

    expected = {"user", "pid", "net", "ipc", "uts", "cgroup-try"}
    assert {word.removeprefix("--unshare-") for word in options if word.startswith("--unshare-")} == expected
    assert {"--disable-userns", "--die-with-parent", "--new-session", "--clearenv", "--seccomp"} <= set(options)
    assert not [word for word in options if word.startswith(("--share", "--dev-bind", "--cap-add"))]


def test_variables_of_the_spec_win_over_ours():
    options = _options()

    variables = {options[n + 1]: options[n + 2] for n, word in enumerate(options) if word == "--setenv"}
    assert variables["FROM_SPEC"] == "1"
    assert variables["PATH"] == "/spec"
    assert variables["HOME"] == "/home/agent"


def test_toolchains_come_first_on_the_path():
    options = _options(replace(SPEC, env={}))

    assert options[options.index("PATH") + 1] == "/opt/node/bin:/usr/local/bin:/usr/bin:/bin"
    assert options[options.index("/opt/node-22") + 1] == "/opt/node"


def test_commands_take_turns_on_the_processors():
    host = replace(Host.look(), cpus=(0, 1, 2, 3))

    assert {arguments.share_of_processors(Limits(cpus=2), host) for _ in range(2)} == {
        frozenset({0, 1}),
        frozenset({2, 3}),
    }


def test_etc_holds_what_is_named_and_made_up_users(tmp_path):
    (tmp_path / "alternatives").mkdir()
    (tmp_path / "alternatives" / "vi").symlink_to("/usr/bin/vim")
    (tmp_path / "alternatives" / "secret").write_text("x")
    (tmp_path / "alternatives" / "secret").chmod(0o600)
    (tmp_path / "ssl").mkdir()
    (tmp_path / "ssl" / "openssl.cnf").write_text("here")
    (tmp_path / "shadow").write_text("root:x")
    (tmp_path / "passwd").write_text("somebody")

    made = etc.directory(tmp_path)

    names = {str(path.relative_to(made)) for path in made.rglob("*")}
    assert names == {"alternatives", "alternatives/vi", "group", "hosts", "passwd", "ssl", "ssl/openssl.cnf"}
    assert "somebody" not in (made / "passwd").read_text()
    assert etc.directory(tmp_path) == made
    (tmp_path / "ssl" / "openssl.cnf").write_text("changed")
    assert (etc.directory(tmp_path) / "ssl" / "openssl.cnf").read_text() == "changed"
    assert (made / "ssl" / "openssl.cnf").read_text() == "here"


def test_descriptors_are_closed_even_when_something_fails():
    with pytest.raises(RuntimeError), Descriptors() as inherited:
        fd = inherited.memory_file(b"x")
        raise RuntimeError

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)
