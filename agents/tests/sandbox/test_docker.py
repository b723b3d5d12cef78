"""What is particular to sandboxes in containers."""

import gc
import json
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from agents.sandbox import docker_profile, owners, places, reaping, seccomp
from agents.sandbox.docker import LABEL, DockerBackend
from agents.sandbox.docker_profile import Bind, Plan
from agents.sandbox.engine import Engine
from agents.sandbox.errors import SandboxUnavailable
from agents.sandbox.exec_pump import Frames
from agents.sandbox.types import WORKSPACE, Egress, Ending, Limits, SandboxSpec
from agents.tests.sandbox import daemon
from mcc.core.errors import InvalidInput

pytestmark = pytest.mark.sandbox
PLAN = Plan("image", 61234, (Bind("/w", WORKSPACE, False),), {}, Limits(), {}, masked=("/data",))


@pytest.fixture
def container(docker):
    name = f"test-{os.urandom(4).hex()}"
    with docker.create(SandboxSpec(name, places.make_workspace(name), limits=Limits(wall_s=20))) as sandbox:
        yield sandbox
    places.delete_workspace(name)


def test_frames_are_whole_however_they_are_cut():
    stream = b"\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\0\2\0\0\0\0\0\0\2!\n\1\0\0\0\0\0\0\1."
    for size in range(1, len(stream) + 1):
        frames, heard = Frames(), {1: b"", 2: b""}
        for at in range(0, len(stream), size):
            for number, piece in frames.feed(stream[at : at + size]):
                heard[number] += piece
        assert heard == {1: b"hello.", 2: b"!\n"}


def test_a_container_gets_no_more_than_it_needs():
    body = docker_profile.config(PLAN)
    host = body["HostConfig"]

    assert (body["User"], host["CapDrop"], host["NetworkMode"]) == ("65533:65533", ["ALL"], "none")
    assert (host["ReadonlyRootfs"], host["Privileged"], host["IpcMode"]) == (True, False, "private")
    assert host["SecurityOpt"][0] == "no-new-privileges:true"
    assert host["Memory"] == host["MemorySwap"] == Limits().memory
    assert set(host["Tmpfs"]) == {"/tmp", "/var/tmp", "/home/agent", "/run", "/data"}
    assert all("size=" in options for options in host["Tmpfs"].values())
    assert docker_profile.config(replace(PLAN, uid=65533))["User"] == "65532:65532"


def test_the_filter_of_containers_refuses_what_that_of_bubblewrap_refuses():
    rules = json.loads(docker_profile.seccomp_profile("x86_64"))["syscalls"]
    whole = {name for rule in rules if "args" not in rule for name in rule["names"]}
    families = {rule["args"][0]["value"] for rule in rules if rule["names"] == ["socket", "socketpair"]}

    ioctls = {rule["args"][0]["valueTwo"] for rule in rules if rule["names"] == ["ioctl"]}

    assert whole == set(seccomp.DENIED) | set(seccomp.ABSENT) | set(seccomp.UNSUPPORTED)
    assert ioctls == {seccomp.TIOCSTI, seccomp.TIOCLINUX, *seccomp.RESERVING}
    assert families == set(range(18)) - set(seccomp.FAMILIES)


def test_the_holder_cannot_be_killed_and_a_report_cannot_be_made_up(container):
    container.sh("true")

    forged = container.sh("for n in 1 2 3; do echo 'ended 0 0 0' > /proc/$PPID/fd/3; done; kill -9 $PPID; sleep 30")

    assert forged.outcome is Ending.LOST
    assert container.sh("kill -9 1; kill -9 $(pgrep -x sleep) 2>&1; echo still").text.endswith("still\n")


def test_a_command_asks_the_proxy_and_a_file_tool_does_not(docker):
    workspace = places.make_workspace("test-egress")
    ask = "import urllib.request as u\ntry: u.urlopen('http://example.org/', timeout=5)\nexcept OSError as e: print(e)"
    spec = SandboxSpec("test-egress", workspace, egress=Egress(("packages.example.org",)), limits=Limits(wall_s=20))
    with docker.create(spec) as sandbox:
        result = sandbox.run(["/usr/bin/python3", "-c", ask])
        offline = sandbox.run(["/usr/bin/python3", "-c", ask], offline=True)
    places.delete_workspace("test-egress")

    assert "403" in result.text
    assert [contact.subject for contact in result.contacts] == ["example.org:80"]
    assert "name resolution" in offline.text
    assert offline.contacts == ()


def test_a_container_that_somebody_removed_is_made_anew(container, docker, docker_address):
    assert container.sh("touch kept; echo 1").text == "1\n"
    engine = Engine(docker_address)
    (found,) = engine.containers({f"{LABEL}.workspace": container.spec.workspace_id})
    engine.kill(found.key)

    assert container.sh("ls").text == "kept\n"
    engine.remove(found.key)
    assert container.sh("ls").text == "kept\n"


def test_a_closed_sandbox_leaves_no_container(docker, docker_address):
    workspace = places.make_workspace("test-closed")
    with docker.create(SandboxSpec("test-closed", workspace)) as sandbox:
        sandbox.sh("true")
    places.delete_workspace("test-closed")

    assert Engine(docker_address).containers({f"{LABEL}.workspace": "test-closed"}) == []


def test_only_what_dead_processes_left_is_reaped(container, docker):
    container.sh("true")

    assert reaping.reap(docker) == []
    assert container.sh("echo alive").text == "alive\n"


def test_a_process_is_alive_for_as_long_as_it_holds_its_lock():
    child = os.fork()
    if child == 0:
        os._exit(owners.is_dead(owners.me()))
    assert os.waitpid(child, 0)[1] == 0

    assert len(owners.dead()) >= 1
    assert not owners.is_dead(owners.me())
    for name in owners.dead():
        owners.bury(name)
    assert owners.is_dead("0" * 16)
    assert owners.is_dead("../instance")


# The SDK forgets to close the socket with which it reached nobody.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("image", "address", "why", "hint"),
    [
        ("", None, "MCC_SANDBOX_IMAGE is empty", "docker pull"),
        ("no-such-image:1", None, "There is no image no-such-image:1", "docker pull"),
        (daemon.IMAGE, "unix:///nonexistent.sock", "Docker does not answer", "DOCKER_HOST"),
    ],
)
def test_what_is_missing_is_said_with_what_to_do(docker_address, settings, image, address, why, hint):
    settings.MCC_SANDBOX_IMAGE = image

    backend = DockerBackend(Engine(address or docker_address))

    assert why in backend.probe().why
    assert hint in backend.probe().hint
    with pytest.raises(SandboxUnavailable):
        backend.create(SandboxSpec("w", Path("/nonexistent")))
    gc.collect()  # so that the warning comes here


def test_a_daemon_that_sees_other_paths_than_we_is_found_out(docker_address, settings, tmp_path):
    settings.MCC_SANDBOX_IMAGE = daemon.IMAGE
    settings.MCC_WORKSPACES_HOST_PATH = "/nonexistent"

    found = DockerBackend(Engine(docker_address)).probe()

    assert not found.available
    assert "MCC_WORKSPACES_HOST_PATH" in found.hint


@pytest.fixture(scope="module")
def images(docker_address, tmp_path_factory):
    """Two more images on the daemon: ``mcc-other:1``, with /only-here, and ``mcc-bare:1``, with nothing at all."""

    def do(*words):
        return subprocess.run(
            ["docker", "-H", docker_address, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    place = tmp_path_factory.mktemp("images")
    (place / "only-here").write_text("1\n")
    subprocess.run(["tar", "-cf", place / "bare.tar", "-C", place, "only-here"], check=True)
    do("import", str(place / "bare.tar"), "mcc-bare:1")
    made = do("create", daemon.IMAGE, "true")
    do("cp", str(place / "only-here"), f"{made}:/only-here")
    do("commit", made, "mcc-other:1")
    do("rm", made)
    return do


def test_a_project_that_chose_an_image_works_in_that_one(docker, settings, images):
    settings.MCC_SANDBOX_OPTIONAL_IMAGES = ["mcc-other:*"]
    workspace = places.make_workspace("test-image")
    shown = {}
    for image in ("", "mcc-other:1"):
        with docker.create(SandboxSpec("test-image", workspace, image=image)) as sandbox:
            shown[image] = sandbox.sh("ls /only-here; id -u").text
    places.delete_workspace("test-image")

    assert shown["mcc-other:1"].startswith("/only-here\n")
    assert "No such file" in shown[""]
    settings.MCC_SANDBOX_OPTIONAL_IMAGES = []
    with pytest.raises(SandboxUnavailable, match="is not on offer here: the operator offers none"):
        docker.create(SandboxSpec("test-image", workspace, image="mcc-other:1"))


def test_an_image_is_tried_out_before_a_project_may_have_it(docker, docker_address, settings, images):
    settings.MCC_SANDBOX_OPTIONAL_IMAGES = ["mcc-*"]

    docker.check_image("mcc-other:1")
    for name, why in (
        ("mcc-bare:1", "The image needs bash, coreutils, findutils, grep and git"),
        ("mcc-none:1", "There is no image mcc-none:1. `docker pull mcc-none:1`"),
        ("alpine:3", "is not on offer here: the operator offers mcc-*"),
        (f"mcc-other@sha256:{'0' * 64}", "There is no image"),
    ):
        with pytest.raises(InvalidInput) as refused:
            docker.check_image(name)
        assert why in str(refused.value), name

    assert Engine(docker_address).containers({f"{LABEL}.workspace": f"probe-{owners.me()}"}) == []


def test_a_name_that_comes_to_stand_for_another_image_is_another_foundation(docker, settings, images):
    settings.MCC_SANDBOX_OPTIONAL_IMAGES = ["mcc-moving"]
    images("tag", daemon.IMAGE, "mcc-moving")
    before = docker.foundation("mcc-moving", ())
    images("tag", "mcc-other:1", "mcc-moving")

    assert before == docker.foundation("", ())
    assert docker.foundation("mcc-moving", ()) != before
