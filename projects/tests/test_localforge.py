import os
import subprocess

import pytest

from mcc.core.errors import InvalidInput
from projects.forge import CloneSpec, Conflict, Forbidden, InTheWay, NotFound, forge_of
from projects.git import Mirror
from projects.git.types import MISSION_CONTROL
from projects.localforge import LocalForge
from projects.models import Project
from projects.tests.repositories import PersonsRepository, atlas, place, poison, server

__all__ = ["atlas", "place", "server"]


def project_at(location: object, branch: str = "main") -> Project:
    return Project(pk=1, repository=str(location), default_branch=branch)


@pytest.fixture
def forge(atlas) -> LocalForge:
    return LocalForge(project_at(atlas.path))


@pytest.fixture
def work(atlas, forge) -> str:
    """A commit for main that waits in the mirror: it changes README.md and adds new.txt."""
    base = atlas.head()
    atlas.git("checkout", "-q", "-b", "work")
    sha = atlas.commit({"README.md": "Atlas, wider\n", "new.txt": "new\n"})
    Mirror(1).fetch_from(forge.fetch_source())
    atlas.git("checkout", "-q", "main")
    atlas.git("branch", "-q", "-D", "work")
    assert atlas.head() == base
    return sha


def merge(forge: LocalForge, work: str, base: str) -> str:
    return forge.merge(work, base_branch="main", expected_base_sha=base, message="Widen").sha


def test_a_project_on_this_machine_has_this_forge(atlas) -> None:
    assert isinstance(forge_of(project_at(atlas.path)), LocalForge)


def test_a_clean_work_tree_follows_the_merge(atlas, forge, work) -> None:
    sha = merge(forge, work, atlas.head())

    assert atlas.head() == sha
    assert (atlas.path / "README.md").read_text() == "Atlas, wider\n"
    assert (atlas.path / "new.txt").exists()
    assert atlas.git("status", "--short") == ""


def test_a_work_tree_on_another_branch_is_left_alone(atlas, forge, work) -> None:
    base = atlas.head()
    atlas.git("checkout", "-q", "-b", "mine")
    (atlas.path / "README.md").write_text("Half done\n")

    sha = merge(forge, work, base)

    assert atlas.head("main") == sha
    assert (atlas.path / "README.md").read_text() == "Half done\n"


@pytest.mark.parametrize("staged", [False, True])
def test_uncommitted_changes_are_not_lost_but_said_to_be_in_the_way(atlas, forge, work, staged) -> None:
    base = atlas.head()
    (atlas.path / "old.txt").write_text("Half done\n")
    if staged:
        atlas.git("add", "-A")

    with pytest.raises(InTheWay, match="Commit or stash them there"):
        merge(forge, work, base)
    assert (atlas.head(), (atlas.path / "old.txt").read_text()) == (base, "Half done\n")
    assert not (atlas.path / "new.txt").exists()

    atlas.commit({}, "Mine")
    assert merge(forge, work, atlas.head()) == atlas.head()


def test_an_untracked_file_is_not_overwritten(atlas, forge, work) -> None:
    base = atlas.head()
    (atlas.path / "new.txt").write_text("mine\n")

    with pytest.raises(InTheWay, match=r"new\.txt"):
        merge(forge, work, base)

    assert (atlas.head(), (atlas.path / "new.txt").read_text()) == (base, "mine\n")


def test_untracked_files_elsewhere_do_not_matter(atlas, forge, work) -> None:
    (atlas.path / "notes.txt").write_text("mine\n")

    assert merge(forge, work, atlas.head()) == atlas.head()
    assert (atlas.path / "notes.txt").read_text() == "mine\n"


def test_a_merge_that_was_killed_between_work_tree_and_branch_goes_on(atlas, forge, work) -> None:
    base = atlas.head()
    sha = merge(forge, work, base)
    atlas.git("update-ref", "refs/heads/main", base)

    again = merge(forge, work, base)

    assert atlas.git("rev-parse", f"{again}^{{tree}}") == atlas.git("rev-parse", f"{sha}^{{tree}}")
    assert (atlas.head(), atlas.git("status", "--short")) == (again, "")


def test_a_branch_in_an_extra_work_tree_is_in_the_way(place, atlas, forge, work) -> None:
    base = atlas.head()
    atlas.git("checkout", "-q", "-b", "mine")
    atlas.git("worktree", "add", "-q", str(place / "extra"), "main")

    with pytest.raises(InTheWay, match="extra"):
        merge(forge, work, base)

    assert atlas.head("main") == base


def test_a_checked_out_branch_is_not_deleted(atlas, forge) -> None:
    with pytest.raises(InTheWay, match="switch to another branch"):
        forge.delete_branch("main")


def test_a_repository_in_which_nothing_is_committed_is_pushed_to_without_its_config_running(
    place, atlas, forge, work
) -> None:
    base, canary = atlas.head(), place / "canary"
    poison(atlas, f"touch {canary}")

    forge.ensure_reachable()
    forge.push_branch("mcc/atl-1", work, None)
    sha = merge(forge, work, base)
    forge.delete_branch("mcc/atl-1")

    assert not canary.exists()
    assert forge.head("main") == sha
    assert (atlas.path / "README.md").read_text() == "Atlas, wider\n"


def test_everything_that_a_merge_writes_belongs_to_the_owner_of_the_repository(place, atlas, forge, work) -> None:
    owner = 12345 if os.geteuid() == 0 else os.geteuid()
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", f"{owner}:{owner}", str(atlas.path)], check=True)
    before = set(atlas.path.rglob("*"))

    sha = merge(forge, work, forge.head("main"))

    new = set(atlas.path.rglob("*")) - before
    assert {path.lstat().st_uid for path in new} == {owner}
    assert atlas.path / "new.txt" in new
    assert forge.head("main") == sha


REFUSALS = {
    "a relative path": ("atlas", "neither an absolute path"),
    "an scp-like address": ("git@github.com:a/b.git", "neither an absolute path"),
    "a missing directory": ("{place}/missing", "There is no directory"),
    "a plain directory": ("{place}/plain", "is not a git repository"),
    "a file": ("{place}/file", "There is no directory"),
    "an extra work tree": ("{place}/extra", "give the main repository"),
    "another protocol": ("ssh://example.org/x", "https"),
    "a password in the address": ("https://ada:secret@example.org/x", "leave it out"),
    "a shallow clone": ("{place}/shallow", "fetch --unshallow"),
    "an empty repository": ("{place}/empty", "is empty"),
}


@pytest.mark.parametrize(("location", "sentence"), REFUSALS.values(), ids=REFUSALS.keys())
def test_a_repository_that_will_not_do_is_refused_with_the_reason(place, atlas, location, sentence) -> None:
    (place / "plain").mkdir()
    (place / "file").write_text("")
    PersonsRepository(place / "empty")
    atlas.commit({"b": "2"})
    atlas.git("clone", "-q", "--depth=1", f"file://{atlas.path}", str(place / "shallow"))
    atlas.git("worktree", "add", "-q", "--detach", str(place / "extra"))

    with pytest.raises(InvalidInput, match=sentence) as caught:
        LocalForge(project_at(location.format(place=place))).ensure_reachable()

    assert caught.value.fields.keys() == {"repository"}


def test_a_missing_default_branch_is_refused_and_the_others_are_named(atlas) -> None:
    with pytest.raises(InvalidInput, match="There is no branch trunk; there is main") as caught:
        LocalForge(project_at(atlas.path, "trunk")).ensure_reachable()

    assert caught.value.fields.keys() == {"default_branch"}


def test_the_default_branch_is_the_one_that_the_repository_is_on(place) -> None:
    repository = PersonsRepository(place / "old")
    repository.git("symbolic-ref", "HEAD", "refs/heads/master")
    repository.commit({"a": "1"})

    assert LocalForge(project_at(repository.path)).repository().default_branch == "master"


def test_repositories_lie_where_the_operator_allows_it(settings, place, atlas) -> None:
    settings.MCC_LOCAL_REPOSITORY_ROOTS = [str(place / "allowed")]
    (place / "allowed").mkdir()
    (place / "allowed" / "link").symlink_to(atlas.path)
    inside = PersonsRepository(place / "allowed" / "inside")
    inside.commit({"a": "1"})

    LocalForge(project_at(inside.path)).ensure_reachable()
    for location in (atlas.path, place / "allowed" / "link", place / "missing", "/etc/shadow"):
        with pytest.raises(InvalidInput, match="where MCC looks for them"):
            LocalForge(project_at(location)).ensure_reachable()
        with pytest.raises(Forbidden):
            LocalForge(project_at(location)).head("main")


def test_a_workspace_is_no_repository_of_a_person(settings, place, atlas) -> None:
    inside = PersonsRepository(place / "elsewhere")
    inside.commit({"a": "1"})
    settings.MCC_WORKSPACES_DIR = str(place / "w")
    (place / "w").mkdir(mode=0o700)
    inside.path.rename(place / "w" / "task")

    with pytest.raises(InvalidInput, match="own workspaces"):
        LocalForge(project_at(place / "w" / "task")).ensure_reachable()


def test_a_repository_at_a_url_is_copied_once_and_merges_land_in_the_copy(place, atlas, server) -> None:
    forge, base = LocalForge(project_at(server)), atlas.head()
    forge.ensure_reachable()
    assert forge.repository().default_branch == "main"
    mirror = Mirror(1)
    mirror.fetch_from(forge.fetch_source())
    tree = mirror.git.text("mktree", stdin=b"")
    work = mirror.commit_tree(tree, [base], "Delete everything")

    sha = merge(forge, work, base)

    assert forge.head("main") == sha
    assert atlas.head() == base
    assert [commit.author for commit in mirror.log(sha, base=base)] == [MISSION_CONTROL]


def test_a_server_without_the_repository_is_refused(place, server) -> None:
    with pytest.raises(InvalidInput, match="knows no such repository"):
        LocalForge(project_at(server + "missing")).ensure_reachable()


@pytest.mark.django_db
def test_the_mirror_of_a_project_fetches_from_its_forge(place, atlas) -> None:
    from budgets.models import Account

    account = Account.objects.create(kind=Account.Kind.PROJECT, name="Atlas")
    project = Project.objects.create(key="ATL", name="Atlas", repository=str(atlas.path), account=account)
    mirror = Mirror(project.pk)

    mirror.fetch()

    assert mirror.head("main") == atlas.head()


def test_an_unknown_head_is_not_merged(atlas, forge) -> None:
    Mirror(1).fetch_from(CloneSpec(str(atlas.path)))
    with pytest.raises((NotFound, Conflict)):
        merge(forge, "0" * 40, atlas.head())
