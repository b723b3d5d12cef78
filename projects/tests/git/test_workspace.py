import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents.sandbox.places import workspace_path
from projects.forge import CloneSpec, Conflict, NotFound
from projects.git import WorkRefused, Workspace, WorkspaceBusy
from projects.git.types import Author, ChangeStatus

pytestmark = pytest.mark.sandbox

CODER = Author("Cleo", "cleo@mcc.invalid")


@pytest.fixture
def base(mirror) -> str:
    return mirror.head("main")


@pytest.fixture
def workspace(mirror, base):
    workspace = Workspace("ATL-1-map", mirror)
    workspace.open(base, "mcc/atl-1")
    yield workspace
    workspace.close()


def test_a_new_workspace_holds_the_files_of_the_commit_on_its_branch(mirror, workspace, base) -> None:
    assert workspace.sandbox.read_file("README.md").data == b"Atlas\n"
    shown = workspace.sandbox.sh(
        "git rev-parse HEAD; git branch --show-current; git status --short; git log --oneline | wc -l"
    )
    assert shown.text.split() == [base, "mcc/atl-1", "1"]


def test_work_becomes_one_commit_of_the_mirror_by_its_author(mirror, workspace, base) -> None:
    workspace.sandbox.sh("echo 'ROADS = 2' > src/map.py; git rm -q old.txt; echo new > new.txt; chmod 755 README.md")

    sha = workspace.collect(base, "Widen the roads\n\nMCC-Issue: ATL-1\n", CODER)

    (commit,) = mirror.log(sha, base=base)
    assert (commit.author, commit.subject, commit.body) == (CODER, "Widen the roads", "MCC-Issue: ATL-1")
    assert mirror.git.text("log", "-1", "--format=%cn <%ce>", sha) == "Mission Control <mission-control@mcc.invalid>"
    assert {change.path: change.status for change in mirror.changed_files(base, sha)} == {
        "README.md": ChangeStatus.MODIFIED,
        "new.txt": ChangeStatus.ADDED,
        "old.txt": ChangeStatus.DELETED,
        "src/map.py": ChangeStatus.MODIFIED,
    }
    assert mirror.head("mcc/atl-1") == sha
    assert workspace.sandbox.sh("git rev-parse HEAD; git status --short").text.split() == [sha]


def test_rounds_of_work_are_a_straight_line_whatever_the_agent_did_with_git(mirror, workspace, base) -> None:
    workspace.sandbox.sh("echo 1 > a; git add a; git commit -qm mine; echo 2 > b; git commit --allow-empty -qm again")
    first = workspace.collect(base, "First")
    workspace.sandbox.sh("git checkout -q --orphan lonely; git commit -qm gone; git branch -D mcc/atl-1; echo 3 > c")

    second = workspace.collect(base, "Second")

    assert [commit.subject for commit in mirror.log(second, base=base)] == ["Second", "First"]
    assert mirror.files(second) == ["README.md", "a", "b", "c", "old.txt", "src/map.py"]
    assert mirror.git.text("rev-parse", f"{second}^") == first


def test_nothing_new_is_no_commit(mirror, workspace, base) -> None:
    assert workspace.collect(base, "Nothing") is None
    workspace.sandbox.sh("echo 1 > a")
    first = workspace.collect(base, "First")

    assert workspace.collect(base, "Again") == first


def test_a_collect_that_was_killed_before_it_told_is_repeated_harmlessly(mirror, workspace, base) -> None:
    workspace.sandbox.sh("echo 1 > a")
    first = workspace.collect(base, "First")
    workspace.sandbox.sh(f"git update-ref HEAD {base}")

    assert workspace.collect(base, "First") == first


def test_a_branch_that_somebody_else_moved_is_not_overwritten(mirror, workspace, base, monkeypatch) -> None:
    workspace.sandbox.sh("echo 1 > a")
    pack = workspace._pack([base])
    other = mirror.commit_tree(mirror.tree_of(base), [base], "Other")

    def pack_late(parents):
        mirror.update_ref("refs/heads/mcc/atl-1", other, None)
        return pack

    monkeypatch.setattr(workspace, "_pack", pack_late)
    with pytest.raises(Conflict):
        workspace.collect(base, "Mine")
    assert mirror.head("mcc/atl-1") == other


def test_an_opened_workspace_is_as_it_was_left(mirror, workspace, base) -> None:
    workspace.sandbox.sh("echo half > half.txt; echo 'ROADS = 9' > src/map.py; git add src")
    workspace.close()

    again = Workspace("ATL-1-map", mirror)
    sandbox = again.open(base, "mcc/atl-1")

    assert sandbox.sh("git status --short").text.splitlines() == ["M  src/map.py", "?? half.txt"]
    assert again.status().splitlines() == ["M  src/map.py", "?? half.txt"]
    again.close()


def test_a_check_out_that_was_killed_is_made_anew(mirror, workspace, base) -> None:
    workspace.sandbox.sh("rm -rf .git README.md; mkdir .git; touch .git/index.lock")
    workspace._made.unlink()
    workspace.close()

    again = Workspace("ATL-1-map", mirror)
    assert again.open(base, "mcc/atl-1").sh("git status --short && cat README.md").text == "Atlas\n"
    again.close()


def test_reset_leaves_nothing_of_what_an_agent_prepared(mirror, workspace, base) -> None:
    workspace.sandbox.sh(
        "echo cheat > ignored.cache; echo '*.cache' > .git/info/exclude; git update-index --skip-worktree README.md; "
        "echo cheat > README.md; git config filter.x.smudge 'echo cheat'; echo '* filter=x' > .git/info/attributes; "
        "mkdir -p deep/er; touch deep/er/file; chmod 000 deep"
    )

    workspace.reset(base)

    listing = workspace.sandbox.sh(
        "cat README.md; ls -A; git config --list --local | grep -c filter; git status --short"
    )
    assert listing.text.split() == ["Atlas", ".git", "README.md", "old.txt", "src", "0"]


def test_the_diff_tells_of_everything_and_touches_nothing(workspace, base) -> None:
    workspace.sandbox.sh("echo 'ROADS = 2' > src/map.py; git add src; echo new > new.txt; git mv old.txt moved.txt")
    before = workspace.status()

    text = workspace.diff(base)

    assert "+ROADS = 2" in text
    assert "+++ b/new.txt" in text
    assert "rename to moved.txt" in text
    assert workspace.status() == before


def test_two_do_not_work_in_one_workspace(mirror, workspace, base, monkeypatch) -> None:
    monkeypatch.setattr("projects.git.workspace.OPEN_WAIT_S", 0.1)
    second = Workspace("ATL-1-map", mirror)

    with pytest.raises(WorkspaceBusy):
        second.open(base, "mcc/atl-1")
    with pytest.raises(WorkspaceBusy):
        second.discard()
    workspace.close()
    second.open(base, "mcc/atl-1")
    second.close()


def test_a_killed_process_lets_go_of_its_workspace(mirror, workspace, base) -> None:
    workspace.close()
    script = (
        "import fcntl, os, sys, time; fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); "
        "fcntl.flock(fd, fcntl.LOCK_EX); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(workspace._lock.path)], stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        holder.kill()

    Workspace("ATL-1-map", mirror).open(base, "mcc/atl-1").close()


def test_eight_workspaces_open_at_once(mirror, base) -> None:
    def work(number: int) -> str:
        workspace = Workspace(f"task-{number}", mirror)
        workspace.open(base, f"mcc/task-{number}").sh(f"echo {number} > n")
        sha = workspace.collect(base, f"Task {number}")
        workspace.discard()
        return sha

    with ThreadPoolExecutor(8) as pool:
        shas = list(pool.map(work, range(8)))

    assert [mirror.file(sha, "n") for sha in shas] == [f"{number}\n".encode() for number in range(8)]


def test_a_discarded_workspace_leaves_nothing_behind(mirror, workspace, base) -> None:
    workspace.sandbox.sh("mkdir -p a/b; touch a/b/c; chmod 000 a/b a; touch -- -rf")

    workspace.discard()

    assert not workspace_path(workspace.name).exists()
    assert not workspace._made.exists()
    assert not workspace._lock.path.exists()
    assert mirror.refs("refs/mcc/workspaces/") == {}
    workspace.discard()


def test_a_conflict_is_resolved_in_the_workspace_and_becomes_a_merge(atlas, mirror, workspace, base) -> None:
    workspace.sandbox.sh("sed -i s/ROADS.*/ROADS\\ =\\ 6/ src/map.py")
    mine = workspace.collect(base, "Six")
    atlas.commit({"src/map.py": "ROADS = 5\nRIVERS = 2\n", "big.bin": "x" * 11_000_000, ".gitmodules": ""})
    mirror.fetch_from(CloneSpec(str(atlas.path)))
    moved = mirror.head("main")

    assert workspace.begin_merge(moved) == ("src/map.py",)
    assert workspace.begin_merge(moved) == ("src/map.py",)
    with pytest.raises(WorkRefused, match=r"conflict markers in src/map\.py"):
        workspace.collect(base, "Merge", merged=moved)
    workspace.sandbox.sh("printf 'ROADS = 11\\nRIVERS = 2\\n' > src/map.py")
    sha = workspace.collect(base, "Merge", merged=moved)

    assert mirror.git.text("log", "-1", "--format=%P", sha).split() == [mine, moved]
    assert mirror.merge_tree(moved, sha).conflicts == ()
    assert [change.path for change in mirror.changed_files(moved, sha)] == ["src/map.py"]
    assert workspace.collect(base, "Merge", merged=moved) == sha
    assert workspace.begin_merge(moved) == ()


def test_a_merge_that_leaves_out_what_others_did_is_refused(atlas, mirror, workspace, base) -> None:
    workspace.sandbox.sh("echo mine > mine.txt")
    workspace.collect(base, "Mine")
    atlas.commit({"README.md": "Atlas 2\n", "old.txt": None})
    mirror.fetch_from(CloneSpec(str(atlas.path)))
    moved = mirror.head("main")
    workspace.begin_merge(moved)
    workspace.sandbox.sh("git reset -q --hard; echo more >> mine.txt")

    with pytest.raises(WorkRefused, match=r"lost what the other branch changed in README\.md, old\.txt"):
        workspace.collect(base, "Merge", merged=moved)

    assert workspace.begin_merge(moved) == ()
    sha = workspace.collect(base, "Merge", merged=moved)
    assert mirror.files(sha) == ["README.md", "mine.txt", "src/map.py"]
    assert mirror.file(sha, "mine.txt") == b"mine\nmore\n"


@pytest.mark.parametrize("harm", ["rm -rf .git", "echo broken > .git/HEAD", "rm -rf .git/objects", "chmod 000 .git"])
def test_work_survives_a_git_directory_that_was_destroyed(mirror, workspace, base, harm) -> None:
    workspace.sandbox.sh(f"echo 1 > a; rm old.txt; {harm}")

    sha = workspace.collect(base, "First")

    assert mirror.files(sha) == ["README.md", "a", "src/map.py"]
    assert workspace.status() == ""


def test_files_that_nobody_may_read_are_part_of_the_work(mirror, workspace, base) -> None:
    workspace.sandbox.sh("mkdir d; echo 1 > d/a; chmod 000 d/a d")

    assert mirror.file(workspace.collect(base, "First"), "d/a") == b"1\n"


def test_a_workspace_of_an_unknown_commit_is_not_found_and_stays_free(mirror, base) -> None:
    with pytest.raises(NotFound):
        Workspace("new", mirror).open("0" * 40, "mcc/new")
    Workspace("new", mirror).open(base, "mcc/new").close()


@pytest.mark.parametrize("key", ["", "../x", "a/b", "a.lock", "-" * 81])
def test_a_key_that_could_be_a_path_is_a_mistake(mirror, key) -> None:
    with pytest.raises(ValueError, match="not a key"):
        Workspace(key, mirror)
