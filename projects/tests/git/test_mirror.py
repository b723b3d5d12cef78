import os
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from mcc.core.tests.machinery import wait_until
from projects import repomap
from projects.forge import CloneSpec, Conflict, Forbidden, NotFound
from projects.git.host import GitFailed, HostGit, Owner
from projects.git.lock import Busy, FileLock
from projects.git.mirror import HEADS, Mirror
from projects.git.remote import branches_at
from projects.git.types import Author, ChangeStatus
from projects.tests.repositories import poison
from tests import processes


def test_a_fetch_follows_moved_new_and_deleted_branches(atlas, mirror) -> None:
    atlas.git("branch", "old-name")
    mirror.fetch_from(CloneSpec(f"file://{atlas.path}"))
    atlas.git("branch", "-D", "old-name")
    atlas.git("branch", "old-name/now-a-directory")
    new = atlas.commit({"README.md": "Atlas 2\n"})

    mirror.fetch_from(CloneSpec(str(atlas.path)))

    assert mirror.branches() == {"main": new, "old-name/now-a-directory": atlas.head("old-name/now-a-directory")}
    assert mirror.head("main") == new


def test_a_fetch_keeps_our_own_branches_and_follows_a_force_push(atlas, mirror) -> None:
    first = mirror.head("main")
    mirror.update_ref(HEADS + "mcc/atl-1", first, None)
    atlas.git("commit", "-q", "--amend", "-m", "Rewritten")

    mirror.fetch_from(CloneSpec(str(atlas.path)))

    assert mirror.head("main") == atlas.head()
    assert mirror.head("mcc/atl-1") == first


@pytest.mark.parametrize("name", ["refs/remotes/origin/main.lock", "packed-refs.lock"])
def test_a_lock_that_a_killed_git_left_is_forgotten_and_a_new_one_heeded(atlas, mirror, name) -> None:
    atlas.git("branch", "gone")
    mirror.fetch_from(CloneSpec(str(atlas.path)))
    mirror.git.run("pack-refs", "--all", "--no-prune")
    atlas.git("branch", "-D", "gone")
    new = atlas.commit({"README.md": "Atlas 2\n"})
    lock = mirror.path / name
    lock.touch()
    with pytest.raises(GitFailed, match=r"\.lock"):
        mirror.fetch_from(CloneSpec(str(atlas.path)))

    os.utime(lock, (0, 0))
    mirror.fetch_from(CloneSpec(str(atlas.path)))

    assert mirror.branches() == {"main": new}


FETCHING = """
import django, sys
django.setup()
from projects.forge import CloneSpec
from projects.git.mirror import Mirror
Mirror(1).fetch_from(CloneSpec(sys.argv[1]))
"""


def test_git_ends_with_the_process_that_waits_for_it(place, settings) -> None:
    facts = {"DJANGO_SETTINGS_MODULE": "mcc.settings", "MCC_WORKSPACES_DIR": settings.MCC_WORKSPACES_DIR}
    at_work = str(Mirror(1).path)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with subprocess.Popen([sys.executable, "-c", FETCHING, url], env=os.environ | facts) as worker:
            silent.settimeout(60)
            line, _ = silent.accept()
            assert processes.naming(at_work)
            worker.kill()
        with line:
            wait_until(lambda: not processes.naming(at_work), 60)


def test_the_branch_of_a_task_hides_a_branch_of_the_forge_with_its_name(atlas, mirror) -> None:
    first = mirror.head("main")
    atlas.git("branch", "mcc/atl-1")
    mirror.fetch_from(CloneSpec(str(atlas.path)))
    ours = mirror.commit_tree(mirror.tree_of(first), [first], "Ours")
    mirror.update_ref(HEADS + "mcc/atl-1", ours, None)

    assert mirror.head("mcc/atl-1") == ours


def test_a_branch_that_nobody_has_is_not_found(mirror) -> None:
    with pytest.raises(NotFound):
        mirror.head("nowhere")


def test_a_ref_moves_only_from_where_the_caller_thinks_it_is(mirror) -> None:
    first = mirror.head("main")
    second = mirror.commit_tree(mirror.tree_of(first), [first], "Second")
    mirror.update_ref(HEADS + "task", first, None)

    with pytest.raises(Conflict):
        mirror.update_ref(HEADS + "task", second, None)
    with pytest.raises(Conflict):
        mirror.update_ref(HEADS + "task", second, second)
    mirror.update_ref(HEADS + "task", second, first)

    assert mirror.head("task") == second


def test_what_a_branch_changes_is_told_by_file_and_as_text(atlas, mirror) -> None:
    base = mirror.head("main")
    atlas.git("mv", "old.txt", "docs.txt")
    (atlas.path / "logo.png").write_bytes(b"\x89PNG\0\0")
    head = atlas.commit({"README.md": None, "src/map.py": "ROADS = 1\nRIVERS = 3\n", "ä b.txt": "new\n"})
    mirror.fetch_from(CloneSpec(str(atlas.path)))

    changes = {change.path: change for change in mirror.changed_files(base, head)}

    assert {path: change.status for path, change in changes.items()} == {
        "README.md": ChangeStatus.DELETED,
        "docs.txt": ChangeStatus.RENAMED,
        "logo.png": ChangeStatus.ADDED,
        "src/map.py": ChangeStatus.MODIFIED,
        "ä b.txt": ChangeStatus.ADDED,
    }
    assert changes["docs.txt"].old_path == "old.txt"
    assert changes["logo.png"].binary
    assert (changes["src/map.py"].additions, changes["src/map.py"].deletions) == (1, 1)
    text = mirror.diff(base, head)
    assert "rename to docs.txt" in text
    assert "-RIVERS = 2\n+RIVERS = 3\n" in text


def test_a_long_diff_is_cut_and_says_so(atlas, mirror) -> None:
    base = mirror.head("main")
    head = atlas.commit({"big.txt": "a line\n" * 100_000})
    mirror.fetch_from(CloneSpec(str(atlas.path)))

    text = mirror.diff(base, head, limit=10_000)

    assert len(text) < 10_200
    assert "the diff goes on" in text


def test_files_and_their_content_are_read_from_a_commit(mirror) -> None:
    head = mirror.head("main")

    assert mirror.files(head) == ["README.md", "old.txt", "src/map.py"]
    assert mirror.file(head, "src/map.py") == b"ROADS = 1\nRIVERS = 2\n"
    assert mirror.file(head, "old.txt", limit=5) == b"old\no"
    for path in ("missing", "src", "../README.md", "/etc/passwd", ""):
        with pytest.raises(NotFound):
            mirror.file(head, path)


@pytest.mark.parametrize("sha", ["main", "--output=/tmp/x", "HEAD~1", "0" * 40, ""])
def test_what_is_no_commit_is_not_found(mirror, sha) -> None:
    head = mirror.head("main")
    for read in (mirror.tree_of, mirror.pin, lambda it: mirror.diff(head, it), lambda it: mirror.merge_base(head, it)):
        with pytest.raises(NotFound):
            read(sha)


def test_the_log_tells_who_and_why(atlas, mirror) -> None:
    base = mirror.head("main")
    sha = mirror.commit_tree(
        mirror.tree_of(base), [base], "Add a pass\n\nOver the hills.\n", Author("Co<der>\n", "coder@mcc.invalid")
    )

    (commit,) = mirror.log(sha, base=base)

    assert (commit.sha, commit.subject, commit.body) == (sha, "Add a pass", "Over the hills.")
    assert commit.author == Author("Co der", "coder@mcc.invalid")
    assert [commit.subject for commit in mirror.log(sha)] == ["Add a pass", "Change"]


def test_a_merge_without_conflict_gives_a_tree_and_with_one_names_the_files(atlas, mirror) -> None:
    base = mirror.head("main")
    ours = atlas.commit({"src/map.py": "ROADS = 5\nRIVERS = 2\n"})
    atlas.git("checkout", "-q", "-b", "task", base)
    clean = atlas.commit({"new.txt": "new\n"})
    clashing = atlas.commit({"src/map.py": "ROADS = 6\nRIVERS = 2\n"})
    mirror.fetch_from(CloneSpec(str(atlas.path)))

    assert mirror.merge_base(ours, clashing) == base
    assert mirror.is_ancestor(base, clashing)
    assert not mirror.is_ancestor(ours, clashing)
    merged = mirror.merge_tree(ours, clean)
    assert merged.conflicts == ()
    commit = mirror.commit_tree(merged.tree, [ours], "Merge")
    assert mirror.file(commit, "new.txt") == b"new\n"
    assert mirror.merge_tree(ours, clashing).conflicts == ("src/map.py",)


def test_gc_keeps_what_is_pinned_when_the_forge_was_rewritten(atlas, mirror) -> None:
    first = mirror.head("main")
    mirror.hold("p1-task", first)
    atlas.git("commit", "-q", "--amend", "-m", "Rewritten")
    mirror.fetch_from(CloneSpec(str(atlas.path)))

    mirror.git.run("reflog", "expire", "--expire=now", "--all")
    mirror.git.run("gc", "-q", "--prune=now")
    assert mirror.has(first)

    mirror.let_go("p1-task")
    mirror.git.run("gc", "-q", "--prune=now")
    assert not mirror.has(first)


def test_many_fetches_do_not_leave_many_packs(atlas, mirror, monkeypatch) -> None:
    monkeypatch.setattr("projects.git.mirror.PACKS_BEFORE_TIDYING", 4)
    for number in range(6):
        atlas.commit({"n.txt": str(number)})
        mirror.fetch_from(CloneSpec(str(atlas.path)))

    assert len(list(mirror.path.glob("objects/pack/*.pack"))) <= 5
    assert mirror.head("main") == atlas.head()


def test_eight_fetches_at_once_of_a_new_mirror_all_succeed(place, atlas) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: Mirror(7).fetch_from(CloneSpec(str(atlas.path))), range(8)))

    assert Mirror(7).head("main") == atlas.head()


def test_a_lock_excludes_others_until_it_is_released(place) -> None:
    first, second = (FileLock(place / "lock", wait_s=0.05) for _ in range(2))
    with first:
        with pytest.raises(Busy):
            second.acquire()
        first.release(remove=True)
        with second:
            assert (place / "lock").exists()


def test_the_mirror_belongs_to_the_user_of_the_sandbox(mirror) -> None:
    owners = {path.stat().st_uid for path in mirror.path.rglob("*")}

    assert owners == {Owner.of_mirrors().uid}
    assert 0 not in owners or os.geteuid() != 0


def test_a_git_that_takes_too_long_is_ended(mirror) -> None:
    from projects.forge import Unavailable
    from projects.git.host import Limits

    with pytest.raises(Unavailable, match="took too long"):
        mirror.git.run("-c", "alias.wait=!sleep 30", "wait", limits=Limits(wall_s=0.2))


def test_a_hostile_repository_is_read_without_running_any_of_its_config(place, atlas, mirror) -> None:
    canary = place / "canary"
    poison(atlas, f"touch {canary}")
    atlas.git("-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=", "branch", "more")

    mirror.fetch_from(CloneSpec(str(atlas.path)))

    assert "more" in mirror.branches()
    assert not canary.exists()


def test_a_url_is_fetched_and_its_branches_are_listed(place, atlas, server) -> None:
    mirror = Mirror(3)

    mirror.fetch_from(CloneSpec(server))

    assert mirror.head("main") == atlas.head()
    assert branches_at(CloneSpec(server)) == ["main"]


@pytest.mark.parametrize(
    "url", ["ext::sh -c 'touch /tmp/pwned'", "ssh://host/repo", "http://example.org/x", "https://a:b@example.org/x"]
)
def test_other_protocols_and_passwords_in_urls_are_refused(place, url) -> None:
    with pytest.raises((Forbidden, NotFound)):
        Mirror(3).fetch_from(CloneSpec(url))


def test_git_on_the_host_reads_no_config_but_the_repository(place, monkeypatch, mirror) -> None:
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.name")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "Somebody")

    assert HostGit(mirror.path, Owner.of_mirrors()).run("config", "user.name", accept=(1,)).text == ""


@pytest.mark.django_db
def test_a_map_of_a_large_repository_stays_small_and_prefers_what_is_no_test(atlas, mirror) -> None:
    files = {f"src/p{n % 40}/m{n}.py": f"def f{n}(): ...\n" * 30 for n in range(2_000)}
    tests = {f"tests/t{n}/test_{n}.py": "def test(): ...\n" for n in range(500)}
    sha = atlas.commit({**files, **tests, "engine.py": "class Engine: ...\n"})
    mirror.fetch_from(CloneSpec(str(atlas.path)))

    drawn = repomap.draw(mirror, sha)

    assert len(drawn) < repomap.CHARACTERS + 200
    assert "\nengine.py: class Engine\n" in drawn
    assert "\nsrc/ (2001 files)\n" in drawn
    assert "tests/t1/" not in drawn
