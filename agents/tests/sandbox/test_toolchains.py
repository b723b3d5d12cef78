"""What a project may have shown to its commands, and what it may not: real directories, links and owners."""

import os
from pathlib import Path

import pytest

from agents.sandbox import places, toolchains
from agents.sandbox.bwrap import BwrapBackend
from agents.sandbox.errors import SandboxUnavailable
from agents.sandbox.types import SandboxSpec


@pytest.fixture
def offered(settings, reachable: Path) -> Path:
    """A root on offer with one toolchain in it, ``jdk-21``, to which ``jdk`` is a link."""
    root = reachable / "offered"
    tool = root / "jdk-21" / "bin" / "mcc-javac"
    tool.parent.mkdir(parents=True)
    tool.write_text("#!/bin/sh\necho 21\n")
    tool.chmod(0o755)
    (root / "jdk").symlink_to("jdk-21")
    settings.MCC_SANDBOX_OPTIONAL_PATHS = [str(root)]
    return root


@pytest.fixture
def show(bwrap):
    """Make a sandbox that sees ``paths``, and run a script in it."""

    def run(script: str, *paths: Path) -> str:
        workspace = places.make_workspace("test-toolchain")
        try:
            with BwrapBackend().create(SandboxSpec(workspace.name, workspace, toolchains=paths)) as sandbox:
                return sandbox.sh(script).text
        finally:
            places.delete_workspace(workspace.name)

    return run


@pytest.mark.sandbox
def test_those_for_everybody_are_shown_read_only_and_on_the_path(settings, offered, show):
    settings.MCC_SANDBOX_RO_PATHS = [str(offered)]

    assert show(f"mcc-javac; touch {offered}/x 2>/dev/null; echo $?") == "21\n1\n"


@pytest.mark.sandbox
def test_a_project_sees_what_it_chose_and_nothing_beside_it(offered, show):
    (offered / "other").mkdir()

    shown = show(f"mcc-javac; ls {offered}; touch {offered}/jdk/bin/x 2>/dev/null; echo $?", offered / "jdk")

    assert shown == "21\njdk\n1\n"
    assert show("command -v mcc-javac; echo none") == "none\n"


@pytest.mark.sandbox
def test_a_choice_is_looked_at_again_for_each_sandbox(settings, offered, show):
    (offered / "jdk").unlink()
    (offered / "jdk").symlink_to("/usr/share")
    with pytest.raises(SandboxUnavailable, match="leads to /usr/share, which is not on offer"):
        show("true", offered / "jdk")

    settings.MCC_SANDBOX_OPTIONAL_PATHS = []
    with pytest.raises(SandboxUnavailable, match="is not on offer here: the operator offers none"):
        show("true", offered / "jdk-21")


def test_what_may_not_be_shown_is_refused_in_words(settings, offered, tmp_path):
    settings.DATA_DIR = offered / "data"
    for name in ("data/below", "open", "theirs/tool"):
        (offered / name).mkdir(parents=True)
    (offered / "file").touch()
    (offered / "open").chmod(0o777)
    (offered / "out").symlink_to("/usr/share")
    (offered / "round").symlink_to(offered / "round")
    (offered / "theirs" / "turn").symlink_to("../jdk-21")
    (offered / "through").symlink_to("theirs/turn")
    if os.geteuid() == 0:
        os.chown(offered / "theirs", 4321, 4321)

    said = {
        "/etc": "is not on offer here: the operator offers",
        "opt/jdk": "is no plain absolute path",
        f"{offered}/../jdk": "is no plain absolute path",
        f"{offered}-more": "is not on offer here",
        f"{offered}/no": "does not exist on this machine",
        f"{offered}/round": "does not exist on this machine",
        f"{offered}/file": "is no absolute path of a directory",
        f"{offered}/data": "where Mission Control keeps its secrets",
        f"{offered}/data/below": "where Mission Control keeps its secrets",
        f"{offered}": "where Mission Control keeps its secrets",
        f"{offered}/out": "leads to /usr/share, which is not on offer",
        f"{offered}/open": "can be written by others than root",
    }
    if os.geteuid() == 0:
        said[f"{offered}/theirs"] = "does not belong to root: its owner, uid 4321"
        said[f"{offered}/theirs/tool"] = f"lies in {offered}/theirs, which does not belong to root"
        said[f"{offered}/through"] = f"lies in {offered}/theirs, which does not belong to root"
    for path, words in said.items():
        assert words in toolchains.refusal(Path(path)), path
    assert toolchains.refusal(offered / "jdk") == toolchains.refusal(offered / "jdk-21") == ""


@pytest.mark.parametrize("root", ["/", "/root", "/var", "etc", "/home"])
def test_a_root_too_wide_to_be_meant_offers_nothing(settings, root):
    settings.MCC_SANDBOX_OPTIONAL_PATHS = [root]

    assert "is not on offer here" in toolchains.refusal(Path("/var/lib/dpkg"))
    assert toolchains.offer() == "the operator offers none (MCC_SANDBOX_OPTIONAL_PATHS)"


def test_one_for_everybody_that_would_show_mccs_own_data_is_refused(settings, reachable):
    settings.DATA_DIR = reachable / "var"
    (reachable / "var" / "below").mkdir(parents=True)
    (reachable / "link").symlink_to(reachable / "var")

    for name in (
        *(reachable, reachable / "var", reachable / "var" / "below", reachable / "link"),
        *("/", "/etc/ssl", "usr", "/no"),
    ):
        settings.MCC_SANDBOX_RO_PATHS = [str(name)]
        with pytest.raises(SandboxUnavailable, match="MCC_SANDBOX_RO_PATHS"):
            toolchains.for_all()


def test_what_an_installation_stands_on_changes_with_the_link(offered):
    (offered / "jdk-22").mkdir()
    before = BwrapBackend().foundation("", (offered / "jdk",))
    (offered / "jdk").unlink()
    (offered / "jdk").symlink_to("jdk-22")

    after = BwrapBackend().foundation("", (offered / "jdk",))

    assert before[-1] == str(offered / "jdk-21")
    assert after == [*before[:-1], str(offered / "jdk-22")]
