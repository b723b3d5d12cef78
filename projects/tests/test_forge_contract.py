"""What every forge does, whatever stands behind it. A new one joins with a ``Bench`` of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from projects.forge import Conflict, Forge, ForgeError, MergeMethod, NotFound
from projects.git import MISSION_CONTROL, Author, Mirror, squash_message
from projects.localforge import LocalForge
from projects.models import Project
from projects.tests.repositories import PersonsRepository, atlas, place

__all__ = ["atlas", "place"]

MESSAGE = squash_message(
    "Widen the roads",
    "They were narrow.",
    number=7,
    issue_key="ATL-1",
    authors=[Author("Cleo", "cleo@mcc.invalid"), Author("Ada\nB", "ada@mcc.invalid")],
)


@dataclass
class Bench:
    """A forge, and a person who works at the same repository."""

    forge: Forge
    mirror: Mirror
    person_commits: Callable[[dict[str, str]], str]
    """Commits files on main behind our back."""
    squashes_as: Author = MISSION_CONTROL
    """Who is the author of a squash."""

    def fetch(self) -> str:
        """Bring the mirror up to date and return the tip of main."""
        self.mirror.fetch_from(self.forge.fetch_source())
        return self.mirror.head("main")

    def work(self, base: str, files: dict[str, str]) -> str:
        """Return a commit in the mirror that changes files (in the top directory) of ``base``."""
        listing = self.mirror.git.text("ls-tree", base).splitlines()
        entries = {line.partition("\t")[2]: line for line in listing}
        for name, text in files.items():
            oid = self.mirror.git.text("hash-object", "-w", "--stdin", stdin=text.encode())
            entries[name] = f"100644 blob {oid}\t{name}"
        tree = self.mirror.git.text("mktree", stdin="".join(f"{line}\n" for line in entries.values()).encode())
        return self.mirror.commit_tree(tree, [base], "Work")

    def merge(self, sha: str, base: str, method: MergeMethod = MergeMethod.SQUASH) -> str:
        return self.forge.merge(sha, base_branch="main", expected_base_sha=base, message=MESSAGE, method=method).sha


def local_with_work_tree(place, atlas) -> Bench:
    project = Project(pk=1, repository=str(atlas.path))
    return Bench(LocalForge(project), Mirror(1), atlas.commit)


def local_bare(place, atlas) -> Bench:
    bare = PersonsRepository(place / "bare.git", bare=True)
    atlas.git("push", "-q", str(bare.path), "main")

    def commit(files: dict[str, str]) -> str:
        atlas.git("pull", "-q", "--ff-only", str(bare.path), "main")
        sha = atlas.commit(files)
        atlas.git("push", "-q", str(bare.path), "main")
        return sha

    return Bench(LocalForge(Project(pk=1, repository=f"file://{bare.path}")), Mirror(1), commit)


@pytest.fixture(params=[local_with_work_tree, local_bare])
def bench(request, place, atlas) -> Bench:
    return request.param(place, atlas)


def test_it_can_be_reached(bench) -> None:
    bench.forge.ensure_reachable()

    assert bench.forge.repository().default_branch == "main"


def test_the_mirror_follows_what_people_commit(bench) -> None:
    first = bench.fetch()
    second = bench.person_commits({"README.md": "Atlas 2\n"})

    assert bench.forge.head("main") == second
    assert bench.fetch() == second
    assert bench.mirror.is_ancestor(first, second)


def test_a_branch_that_is_not_there_is_not_found(bench) -> None:
    with pytest.raises(NotFound):
        bench.forge.head("nowhere")


def test_a_branch_is_pushed_moved_and_deleted(bench) -> None:
    base = bench.fetch()
    first = bench.work(base, {"a.txt": "1\n"})
    second = bench.work(first, {"a.txt": "2\n"})

    bench.forge.push_branch("mcc/atl-1", first, None)
    bench.forge.push_branch("mcc/atl-1", first, None)
    bench.forge.push_branch("mcc/atl-1", second, first)
    bench.forge.push_branch("mcc/atl-1", second, first)
    assert bench.forge.head("mcc/atl-1") == second

    bench.forge.delete_branch("mcc/atl-1")
    bench.forge.delete_branch("mcc/atl-1")
    with pytest.raises(NotFound):
        bench.forge.head("mcc/atl-1")


def test_a_branch_that_somebody_else_moved_is_not_overwritten(bench) -> None:
    base = bench.fetch()
    ours, theirs = bench.work(base, {"a.txt": "ours\n"}), bench.work(base, {"a.txt": "theirs\n"})
    bench.forge.push_branch("mcc/atl-1", theirs, None)

    for expected in (None, base):
        with pytest.raises(Conflict):
            bench.forge.push_branch("mcc/atl-1", ours, expected)

    assert bench.forge.head("mcc/atl-1") == theirs


def test_a_pull_request_is_opened_once_and_keeps_its_number(bench) -> None:
    sha = bench.work(bench.fetch(), {"a.txt": "1\n"})
    bench.forge.push_branch("mcc/atl-1", sha, None)
    about = {"branch": "mcc/atl-1", "base_branch": "main", "title": "A", "body": "B", "draft": True}

    pull = bench.forge.open_pull(number=7, **about)

    assert bench.forge.open_pull(number=7, **about) == pull
    assert bench.forge.update_pull(pull, title="Better", draft=False).number == pull.number


def test_a_squash_lands_as_one_commit_on_what_was_expected(bench) -> None:
    base = bench.fetch()
    first = bench.work(base, {"a.txt": "1\n"})
    second = bench.work(first, {"b.txt": "2\n"})
    bench.forge.push_branch("mcc/atl-1", second, None)

    sha = bench.merge(second, base)

    assert bench.forge.head("main") == sha == bench.fetch()
    (commit,) = bench.mirror.log(sha, base=base)
    assert commit.subject == "Widen the roads (#7)"
    assert commit.author == bench.squashes_as
    assert commit.body.splitlines()[:5] == [
        "They were narrow.",
        "",
        "MCC-Issue: ATL-1",
        "Co-authored-by: Cleo <cleo@mcc.invalid>",
        "Co-authored-by: Ada B <ada@mcc.invalid>",
    ]
    trailers = bench.mirror.git.text("log", "-1", "--format=%(trailers:key=MCC-Issue,valueonly)", sha)
    assert trailers == "ATL-1"
    assert {change.path for change in bench.mirror.changed_files(base, sha)} == {"a.txt", "b.txt"}


def test_a_merge_keeps_the_history_of_the_branch(bench) -> None:
    base = bench.fetch()
    work = bench.work(base, {"a.txt": "1\n"})
    moved = bench.person_commits({"other.txt": "x\n"})
    bench.forge.push_branch("mcc/atl-1", work, None)

    sha = bench.merge(work, moved, MergeMethod.MERGE)

    bench.fetch()
    assert bench.mirror.git.text("log", "-1", "--format=%P", sha).split() == [moved, work]
    assert bench.mirror.file(sha, "other.txt") == b"x\n"


def test_a_base_that_moved_on_is_a_conflict_and_stays(bench) -> None:
    base = bench.fetch()
    work = bench.work(base, {"a.txt": "1\n"})
    moved = bench.person_commits({"other.txt": "x\n"})

    with pytest.raises(Conflict, match="moved") as caught:
        bench.merge(work, base)

    assert caught.value.files == ()
    assert bench.forge.head("main") == moved


def test_changes_of_the_same_lines_are_a_conflict_that_names_the_files(bench) -> None:
    work = bench.work(bench.fetch(), {"README.md": "Ours\n", "a.txt": "1\n"})
    moved = bench.person_commits({"README.md": "Theirs\n"})

    with pytest.raises(Conflict) as caught:
        bench.merge(work, moved)

    assert caught.value.files == ("README.md",)
    assert bench.forge.head("main") == moved


def test_a_merge_that_was_killed_before_it_told_is_found_again(bench) -> None:
    base = bench.fetch()
    work = bench.work(base, {"a.txt": "1\n"})
    landed = bench.merge(work, base)
    later = bench.person_commits({"other.txt": "x\n"})

    assert bench.merge(work, base) == landed
    assert bench.merge(work, later) == landed
    assert bench.forge.head("main") == later


def test_what_is_merged_already_lands_nothing(bench) -> None:
    base = bench.fetch()

    assert bench.merge(base, base) == base


def test_of_many_merges_at_once_onto_one_base_a_single_one_lands(bench) -> None:
    base = bench.fetch()
    works = [bench.work(base, {f"{number}.txt": "x\n"}) for number in range(6)]

    def attempt(work: str) -> str | None:
        try:
            return bench.merge(work, base)
        except ForgeError:
            return None

    with ThreadPoolExecutor(6) as pool:
        landed = [sha for sha in pool.map(attempt, works) if sha]

    assert [bench.forge.head("main")] == landed
    bench.fetch()
    assert len(bench.mirror.log(landed[0], base=base)) == 1
