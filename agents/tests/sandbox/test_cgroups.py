"""Limits by control groups for sandboxes of bubblewrap: real groups of this machine, real memory and processes.

The groups lie below one of our own at the top, as Docker's do: whoever runs the tests was given none to divide.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from agents.sandbox import cgroups, owners, places, reaping
from agents.sandbox.bwrap import BwrapBackend
from agents.sandbox.types import MIB, Ending, Limits, Sandbox, SandboxBackend, SandboxSpec

pytestmark = [pytest.mark.sandbox, pytest.mark.root_only]
TOP = "/mcc-test"
HOLD = """
import mmap, os, time
def hold(size):
    x = mmap.mmap(-1, size << 20)  # shared: in nobody's RLIMIT_DATA
    for i in range(0, len(x), 4096): x[i] = 1
    return x
"""
HOGS = {
    "shared": "hold(400)",
    "several": "for _ in range(4):\n    if not os.fork():\n        x = bytearray(120 << 20)\n        time.sleep(30)",
    "tmpfs": "for d in ('/dev/shm', '/tmp'): open(d + '/x', 'wb').write(bytes(200 << 20))",
}


@pytest.fixture(scope="module")
def top() -> Iterator[str]:
    """The name of a group that is given to Mission Control, and is gone afterwards."""
    name = f"{TOP}-{os.getpid()}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(django_settings, "MCC_SANDBOX_CGROUP", name)
        found = cgroups.find()
        if not all(found.limits(controller) for controller in ("memory", "pids", "cpu")):
            pytest.skip(f"no control groups can be made here: {found.why}")
        yield name
    for hierarchy in found.hierarchies:
        hierarchy.base.rmdir()


@pytest.fixture(scope="module")
def backend(top: str) -> SandboxBackend:
    return BwrapBackend()


@pytest.fixture(scope="module")
def boxed(backend: SandboxBackend) -> Iterator[Sandbox]:
    """One sandbox for all: each command begins with what is left of the group, which must be nothing."""
    name = f"test-{secrets.token_hex(4)}"
    limits = Limits(wall_s=60, memory=256 * MIB, processes=40, tmp=256 * MIB)
    with backend.create(SandboxSpec(name, places.make_workspace(name), limits=limits)) as sandbox:
        yield sandbox
    places.delete_workspace(name)


def groups(top: str) -> list[Path]:
    # Not by **: groups of others come and go while one walks.
    patterns = (f"*{top}/*/", f"{top[1:]}/*/")
    return [place for pattern in patterns for place in Path("/sys/fs/cgroup").glob(pattern)]


@pytest.mark.parametrize("hog", HOGS)
def test_the_kernel_keeps_the_memory_of_all_processes_together(boxed, hog):
    result = boxed.run(["/usr/bin/python3", "-c", f"{HOLD}{HOGS[hog]}\ntime.sleep(30)"])

    assert result.outcome is Ending.MEMORY_LIMIT, result
    assert "the kernel killed" in result.detail
    assert boxed.run(["true"]).ok


def test_no_byte_more_than_the_limit_was_ever_held(boxed, top):
    boxed.run(["/usr/bin/python3", "-c", f"{HOLD}{HOGS['shared']}"])

    peaks = [Path(place / name) for place in groups(top) for name in ("memory.max_usage_in_bytes", "memory.peak")]

    assert [int(peak.read_text()) for peak in peaks if peak.exists()] == [256 * MIB]


def test_a_command_may_have_other_limits_than_the_one_before(boxed):
    more, less = Limits(wall_s=60, memory=600 * MIB), Limits(wall_s=60, memory=64 * MIB)
    hold = ["/usr/bin/python3", "-c", f"{HOLD}hold(120)"]

    assert [boxed.run(hold, limits=limits).outcome for limits in (less, more, less)] == [
        Ending.MEMORY_LIMIT,
        Ending.EXITED,
        Ending.MEMORY_LIMIT,
    ]


def test_who_is_still_about_to_give_memory_back_is_waited_for(top):
    group = cgroups.Group(cgroups.find().hierarchies)
    group.limit(Limits(memory=256 * MIB))
    hold = [*group.joining(), sys.executable, "-c", f"{HOLD}x = hold(120)\nprint(flush=True)\ntime.sleep(1)"]
    try:
        with subprocess.Popen(hold, stdout=subprocess.PIPE) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"\n"
            group.limit(Limits(memory=64 * MIB))
    finally:
        group.remove()


def test_the_peak_of_a_command_is_told_when_no_earlier_one_had_more(backend):
    name = f"test-{secrets.token_hex(4)}"
    spec = SandboxSpec(name, places.make_workspace(name), limits=Limits(wall_s=60, memory=600 * MIB))
    with backend.create(spec) as sandbox:
        first = sandbox.run(["/usr/bin/python3", "-c", f"{HOLD}hold(120)"])
        second = sandbox.run(["true"])
    places.delete_workspace(name)

    assert 120 * MIB < first.peak_memory < 300 * MIB
    assert second.peak_memory is None


def test_processes_are_counted_in_whatever_namespace_they_are(boxed, top):
    forks = (
        "import os, time\nn = 0\ntry:\n    while os.fork(): n += 1\n    time.sleep(30)\nexcept OSError:\n    print(n)"
    )

    result = boxed.run(["/usr/bin/python3", "-c", forks])

    assert 20 < int(result.text) <= 44
    assert [(place / "pids.max").read_text() for place in groups(top) if (place / "pids.max").exists()] == ["44\n"]


def test_processor_time_is_rationed_whatever_processors_are_used(top):
    burn = "import os, time\nfor _ in range(2): os.fork()\nend = time.time() + 2\nwhile time.time() < end: pass\n"
    burn += "try:\n    while True: os.wait()\nexcept ChildProcessError:\n    pass"
    group = cgroups.Group(cgroups.find().hierarchies)
    group.limit(Limits(cpus=1))
    before, began = os.times(), time.monotonic()
    try:
        subprocess.run([*group.joining(), sys.executable, "-c", burn], check=True)
    finally:
        group.remove()
    after, took_s = os.times(), time.monotonic() - began

    used = after.children_user + after.children_system - before.children_user - before.children_system
    assert used < 1.25 * took_s


def test_a_closed_sandbox_leaves_no_group(boxed, backend, top):
    name = f"test-{secrets.token_hex(4)}"
    boxed.run(["true"])
    with backend.create(SandboxSpec(name, places.make_workspace(name))) as sandbox:
        sandbox.run(["true"])
        assert len({place.name for place in groups(top)}) == 2
    places.delete_workspace(name)

    assert len({place.name for place in groups(top)}) == 1


WORKER = """
import os, sys
import django
django.setup()
from django.conf import settings
settings.MCC_SANDBOX_CGROUP = {top!r}
from agents.sandbox import backend, places
from agents.sandbox.types import SandboxSpec
with backend().create(SandboxSpec("killed", places.make_workspace("killed"))) as sandbox:
    sandbox.sh("echo begun; sleep 600", on_output=lambda data: print(data.decode(), flush=True))
"""


def test_what_a_killed_worker_left_is_removed_with_what_runs_in_it(boxed, backend, top, settings):
    settings.MCC_WORKSPACES_DIR = str(places.workspaces_root())
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "mcc.settings",
        "MCC_DATA_DIR": str(settings.DATA_DIR),
        "MCC_WORKSPACES_DIR": settings.MCC_WORKSPACES_DIR,
    }
    own = {place.name for place in groups(top)}
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER.format(top=top)], env=environment, cwd=settings.BASE_DIR, stdout=subprocess.PIPE
    )
    assert worker.stdout is not None
    assert b"begun" in worker.stdout.readline()
    [left] = {place.name for place in groups(top)} - own
    stray = subprocess.Popen(
        [*cgroups.group.joining([place for place in groups(top) if place.name == left]), "sleep", "600"]
    )
    worker.send_signal(signal.SIGKILL)
    worker.communicate()

    deadline = time.monotonic() + 30
    while left not in (found := reaping.reap(backend)) and time.monotonic() < deadline:
        time.sleep(0.1)

    assert left in found
    assert stray.wait(20) == -signal.SIGKILL
    assert {place.name for place in groups(top)} == own
    places.delete_workspace("killed")


def removed_when_empty(place: Path) -> None:
    """Remove a group whose last process may still be on its way out."""
    deadline = time.monotonic() + 20
    while True:
        try:
            place.rmdir()
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        else:
            return


def test_a_group_that_somebody_removed_between_two_commands_is_made_again_with_its_limits(boxed, top):
    assert boxed.run(["true"]).ok
    for place in groups(top):
        removed_when_empty(place)

    result = boxed.run(["/usr/bin/python3", "-c", f"{HOLD}{HOGS['shared']}"])

    assert "the kernel killed" in result.detail


def test_threads_that_look_at_once_do_not_spoil_each_others_trial(top):
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: cgroups.find(), range(24)))

    assert {each.why for each in found} == {""}


def test_a_living_process_of_ours_and_whoever_else_keep_their_groups(boxed, backend, top):
    others = [hierarchy.base / f"{owners.MARK}{'0' * 16}-1" for hierarchy in cgroups.find().hierarchies]
    for other in others:
        other.mkdir()
    try:
        reaping.reap(backend)
        assert boxed.run(["true"]).ok
        assert all(other.exists() for other in others)
    finally:
        for other in others:
            other.rmdir()


def test_doctor_says_what_is_limited_and_by_which_groups(backend, top):
    terms = "; ".join(backend.probe().terms)

    assert "memory, processes, processor time limited for all processes together by the kernel (version " in terms
    assert top in terms
    assert "watchdog, which may let half" not in terms
    assert "not by control groups" not in terms


@pytest.mark.parametrize(
    ("named", "why"),
    [
        ("off", "not by control groups: MCC_SANDBOX_CGROUP is off"),
        ("mcc", "MCC_SANDBOX_CGROUP=mcc is no path of a group"),
        ("/", "MCC_SANDBOX_CGROUP=/ is no path of a group"),
        ("/mcc/../docker", "is no path of a group"),
    ],
)
def test_where_there_are_none_the_watchdogs_are_named(settings, named, why):
    settings.MCC_SANDBOX_CGROUP = named

    terms = "; ".join(BwrapBackend().probe().terms)

    assert why in terms
    assert "for all together by a watchdog, which may let half as much again pass" in terms
    assert "processor time by the processors that a command may use" in terms


def test_a_group_that_was_not_given_to_us_is_left_alone(settings):
    settings.MCC_SANDBOX_CGROUP = ""
    found = cgroups.find()

    if not found.hierarchies:
        assert "our own group was not given to us to divide (Delegate=yes)" in found.why
    made = [place.name for group in own_groups() for place in group.iterdir() if place.name.startswith(owners.mark())]
    assert made == []


def own_groups() -> list[Path]:
    lines = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
    named = [Path("/sys/fs/cgroup", names or "unified", path.lstrip("/")) for _, names, path in lines]
    return [place for place in named if place.is_dir()]
