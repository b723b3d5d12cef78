"""Sandboxes that are made ahead: as new as any other, and gone with the workspace."""

import secrets
import threading
import time
from dataclasses import replace
from statistics import median

import pytest

from agents.sandbox import owners, places, spares
from agents.sandbox.bwrap import BwrapSandbox
from agents.sandbox.types import Egress, Ending, SandboxSpec
from agents.tests.sandbox.conftest import other_process
from tests import processes

pytestmark = pytest.mark.sandbox

LEAVE_ALL = "touch /tmp/t ~/h /dev/shm/s; (setsid sleep 60 &) >/dev/null 2>&1; ls /tmp ~ /dev/shm"
LOOK = "ls /tmp ~ /dev/shm; set -- /proc/[0-9]*; echo $#; ulimit -f; cat /proc/self/oom_score_adj; nice"


@pytest.fixture
def make(bwrap):
    made: list[BwrapSandbox] = []

    def make(**changes) -> BwrapSandbox:
        name = f"test-{secrets.token_hex(4)}"
        spec = replace(SandboxSpec(name, places.make_workspace(name), ahead=True), **changes)
        made.append(bwrap.create(spec))
        return made[-1]

    yield make
    for sandbox in made:
        sandbox.close()
        places.delete_workspace(sandbox.spec.workspace_id)


@pytest.fixture
def launchers():
    """What gives the processes of the test's sandboxes that wait for an order, or run one."""
    before = set(processes.naming(owners.mark()))
    return lambda: set(processes.naming(owners.mark())) - before


@pytest.fixture
def settled(launchers):
    """What waits until so many processes are there, and gives them: three for each sandbox."""

    def settled(count: int) -> set[int]:
        deadline = time.monotonic() + 20
        while len(found := launchers()) != count:
            assert time.monotonic() < deadline, found
            time.sleep(0.005)
        return found

    return settled


def test_the_next_command_runs_in_what_was_made_ahead_and_finds_nothing_of_the_last(make, launchers, settled):
    sandbox = make()
    sandbox.sh(LEAVE_ALL)
    waiting = settled(3)

    told: list[set[int]] = []
    seen = sandbox.sh(LOOK + "; sleep 0.2", on_output=lambda _: told.append(launchers()))

    assert told[0] & waiting, "it had a sandbox of its own made"
    fresh = make(ahead=False).sh(LOOK)
    assert seen.output == fresh.output
    assert seen.exit_code == 0


def test_what_is_ended_while_it_is_being_made_leaves_nothing(make, settled):
    sandbox = make()
    making = sandbox._making(sandbox.spec.limits)
    for wait_ms in [0, 0.5, 1, 1.5, 2, 3, 4, 6] * 10:
        launched = sandbox._launch(making)
        time.sleep(wait_ms / 1_000)
        launched.end()
    settled(0)


def test_it_is_as_quick_as_its_command(make):
    sandbox, plain = make(), make(ahead=False)
    sandbox.run(["/usr/bin/true"])

    def took_s(one) -> float:
        time.sleep(0.1)
        return one.run(["/usr/bin/true"]).wall_s

    # In turns: whatever else the machine does slows both down.
    pairs = [(took_s(sandbox), took_s(plain)) for _ in range(15)]
    assert median(ahead for ahead, _ in pairs) < median(anew for _, anew in pairs)


def test_each_command_has_its_own_limits_variables_directory_and_input(make):
    sandbox = make()
    sandbox.sh("mkdir -p a/b")
    for cpu_s in (7, 9):
        limits = replace(sandbox.spec.limits, cpu_s=cpu_s, file_size=cpu_s * 512)
        script = "cat; pwd; echo $X; ulimit -t; ulimit -f"
        result = sandbox.sh(script, cwd="a/b", env={"X": f"x {cpu_s}"}, stdin=b"in\n", limits=limits)
        assert result.text.split("\n")[:4] == ["in", "/workspace/a/b", f"x {cpu_s}", str(cpu_s)]


def test_a_command_that_is_killed_takes_only_its_own_sandbox(make):
    sandbox = make()
    sandbox.sh("true")

    result = sandbox.sh("sleep 60", limits=replace(sandbox.spec.limits, wall_s=0.3))

    assert result.outcome is Ending.TIMEOUT
    assert result.wall_s < 6
    assert sandbox.sh("echo again").text == "again\n"


def test_what_waits_is_not_taken_once_the_workspace_is_another(make, settled):
    sandbox = make()
    sandbox.sh("echo old > file")
    settled(3)
    places.delete_workspace(sandbox.spec.workspace_id)
    places.make_workspace(sandbox.spec.workspace_id)

    assert sandbox.sh("ls; echo new > file; ls").text == "file\n"
    assert (sandbox.spec.workspace / "file").read_text() == "new\n"


def test_what_was_killed_while_it_waited_is_made_anew(make, settled):
    sandbox = make()
    sandbox.sh("true")
    settled(3)
    sandbox._spare._coming.result().process.kill()
    settled(0)

    assert sandbox.sh("echo well").text == "well\n"


def test_closing_leaves_nothing_that_waits(make, launchers):
    sandbox = make()
    for _ in range(3):
        sandbox.sh("true")
        sandbox.close()
        assert not launchers()
        sandbox = make()


def test_no_more_wait_than_are_allowed(make, settled, monkeypatch):
    monkeypatch.setattr(spares, "MOST", 2)
    many = [make() for _ in range(4)]
    for sandbox in many:
        sandbox.sh("true")

    settled(2 * 3)
    assert [sandbox.sh("echo well").text for sandbox in many] == ["well\n"] * 4


def test_commands_that_follow_each_other_at_once_have_a_sandbox_each(make):
    sandbox = make()

    results = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(sandbox.sh(f"touch /tmp/{n}; ls /tmp").text == f"{n}\n"))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [True] * 8


def test_commands_with_a_network_and_file_tools_share_what_waits(make, settled):
    sandbox = make(egress=Egress(("example.org",)))
    sandbox.sh("echo hello > file")
    waiting = settled(3)

    sandbox.read_file("file")

    assert not waiting & settled(3)
    assert sandbox.sh('echo "$HTTPS_PROXY"').text == "http://127.0.0.1:3128\n"
    assert sandbox.run(["sh", "-c", 'echo "$HTTPS_PROXY"'], offline=True).text == "\n"


WORKER = """
import sys, time
from agents.sandbox import backend, places
from agents.sandbox.types import SandboxSpec
workspace = places.make_workspace({name!r})
sandbox = backend().create(SandboxSpec({name!r}, workspace, ahead=True))
sandbox.sh("true")
sandbox._spare._coming.result()
time.sleep(0.2)
from agents.sandbox import owners
print(owners.mark(), flush=True)
time.sleep(60)
"""


def test_what_waits_dies_with_its_worker(make, settings):
    name = f"test-{secrets.token_hex(4)}"
    worker = other_process(WORKER.format(name=name), settings)
    try:
        mark = worker.stdout.readline().decode().strip()
        deadline = time.monotonic() + 20
        while len(processes.naming(mark)) != 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        worker.kill()
        worker.wait()
        worker.stdout.close()
    deadline = time.monotonic() + 20
    while processes.naming(mark):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    places.delete_workspace(name)
