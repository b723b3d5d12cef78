"""What an agent, or a repository that steers one, could try on the way out of a workspace."""

import re
from pathlib import Path

import pytest

from projects.forge import CloneSpec
from projects.git import WorkRefused, Workspace, scripts
from projects.git.mirror import Mirror

pytestmark = pytest.mark.sandbox

PACK = """
c=$(git rev-parse HEAD); echo "$c"
printf '%s\\n^%s\\n' "$c" "$BASE" | git pack-objects -q --revs --thin --stdout --delta-base-offset
"""
BLOB = "b=$(echo x | git hash-object -w --stdin)\n"
COMMIT = "git update-ref --no-deref HEAD $(git commit-tree $t -p $BASE -m evil)\n" + PACK


@pytest.fixture
def workspace(mirror: Mirror):
    workspace = Workspace("evil", mirror)
    workspace.open(mirror.head("main"), "mcc/evil")
    yield workspace
    workspace.close()


def collect(workspace: Workspace, script: str, monkeypatch) -> str | None:
    """Collect from a workspace whose git is the agent's ``script``."""
    base = workspace.mirror.head("main")
    names = ["AUTHOR_NAME", "AUTHOR_EMAIL", "COMMITTER_NAME", "COMMITTER_EMAIL"]
    identity = "".join(f"export GIT_{name}=root@localhost\n" for name in names)
    monkeypatch.setattr(scripts, "SNAPSHOT", f"BASE={base}\n{identity}exec 2>/dev/null\n{script}")
    return workspace.collect(base, "Evil")


TREES = {
    "a hook in .git": (
        "h=$(printf '100755 blob %s\tpre-commit\n' $b | git mktree)\n"
        "g=$(printf '040000 tree %s\thooks\n' $h | git mktree)\n"
        "t=$(printf '040000 tree %s\t.git\n' $g | git mktree)\n",
        "hasDotgit",
    ),
    "a config in .GiT": (
        "g=$(printf '100755 blob %s\tconfig\n' $b | git mktree)\n"
        "t=$(printf '040000 tree %s\t.GiT\n' $g | git mktree)\n",
        "hasDotgit",
    ),
    "the short name of .git": (
        "g=$(printf '100755 blob %s\tconfig\n' $b | git mktree)\n"
        "t=$(printf '040000 tree %s\tgit~1\n' $g | git mktree)\n",
        "hasDotgit",
    ),
    "an entry called ..": ("t=$(printf '100644 blob %s\t..\n' $b | git mktree)\n", "hasDotdot"),
    "an entry with a slash": (
        'bash -c \'printf "100644 a/../../x\\0"; printf "$(echo \'$b\' | sed "s/../\\\\\\\\x&/g")"\' > /tmp/tree\n'
        "t=$(git hash-object -t tree -w --stdin --literally < /tmp/tree)\n",
        "fullPathname",
    ),
    "a symlink called .gitmodules": (
        "t=$(printf '120000 blob %s\t.gitmodules\n' $b | git mktree)\n",
        "gitmodulesSymlink",
    ),
    "a link to a commit": ("t=$(printf '160000 commit %s\tsub\n' $BASE | git mktree)\n", "sub is a git repository"),
}


@pytest.mark.parametrize(("tree", "reason"), TREES.values(), ids=TREES.keys())
def test_a_tree_that_git_must_not_check_out_is_refused(workspace, monkeypatch, tree, reason) -> None:
    with pytest.raises(WorkRefused, match=reason):
        collect(workspace, BLOB + tree + COMMIT, monkeypatch)
    assert workspace.mirror.refs("refs/heads/") == {}


NO_ID, NOT_SENT = "did not answer with a commit", "named a commit that it did not send"
ANSWERS = {
    "garbage": ("head -c 100000 /dev/urandom", NO_ID),
    "an id and garbage": ("git rev-parse HEAD; head -c 100000 /dev/urandom", "signature mismatch"),
    "nothing": ("true", NO_ID),
    "an option as id": ("echo --output=/tmp/x; head -c 10 /dev/zero", NO_ID),
    "a revision as id": ("echo refs/remotes/origin/main; git rev-parse HEAD | git pack-objects -q --stdout", NO_ID),
    "an id that is not in the pack": (
        "echo 0123456789012345678901234567890123456789; printf '' | git pack-objects -q --stdout",
        NOT_SENT,
    ),
    "a blob as commit": (BLOB + "echo $b; echo $b | git pack-objects -q --stdout", NOT_SENT),
    "a pack without a blob": (
        "echo q > q; git add q; t=$(git write-tree)\n"
        "c=$(git commit-tree $t -p $BASE -m evil); echo $c; (echo $c; echo $t) | git pack-objects -q --stdout",
        "did not receive expected object",
    ),
    "a pack that was cut off": (f"({PACK}) | head -c -30", "early EOF"),
    "a failure": ("echo oh; exit 3", "could not put the files together: oh"),
}


@pytest.mark.parametrize(("answer", "reason"), ANSWERS.values(), ids=ANSWERS.keys())
def test_an_answer_that_is_no_whole_commit_is_refused(workspace, monkeypatch, answer, reason) -> None:
    with pytest.raises(WorkRefused, match=reason):
        collect(workspace, answer, monkeypatch)
    assert workspace.mirror.refs("refs/heads/") == {}


def test_a_pack_over_the_limit_is_refused(workspace, monkeypatch) -> None:
    monkeypatch.setattr("projects.git.workspace.PACK_LIMIT", 1_000_000)
    monkeypatch.setattr("projects.git.mirror.PACK_LIMIT", 1_000_000)
    with pytest.raises(WorkRefused, match="larger than"):
        collect(workspace, "git rev-parse HEAD; head -c 1500000 /dev/zero", monkeypatch)


def test_a_history_that_was_rewritten_brings_only_its_files(workspace, monkeypatch) -> None:
    base = workspace.mirror.head("main")
    script = (
        "echo z > z; git add z; git update-ref --no-deref HEAD $(git commit-tree $(git write-tree) -m orphan)\n" + PACK
    )

    sha = collect(workspace, script, monkeypatch)

    (commit,) = workspace.mirror.log(sha, base=base)
    assert (commit.subject, commit.author.name) == ("Evil", "Mission Control")
    assert workspace.mirror.git.text("log", "-1", "--format=%P %cn", sha) == f"{base} Mission Control"


FILES = {
    "a repository inside": ("git init -q sub && git -C sub commit -q --allow-empty -m x", r"Delete sub/\.git"),
    "submodules": ("printf '[submodule \"x\"]\\n path=x\\n url=https://example.org/x\\n' > .gitmodules", "submodules"),
    "submodules with an option": ("printf '[submodule \"x\"]\\n path=x\\n url=-u./p\\n' > .gitmodules", "gitmodules"),
    "a large file": ("head -c 11000000 /dev/urandom > big.bin", "10 MiB is the limit"),
    "a line break in a name": ("touch \"$(printf 'a\\nb')\"", "control characters"),
    "an absolute symlink": ("ln -s /etc/passwd link", "symlink link leads out"),
    "a symlink upwards": ("ln -s ../../etc src/link", "leads out"),
    "a symlink through a symlink": ("ln -s ../.. src/up; ln -s src/up/../etc link", "leads out"),
    "a symlink that sinks and rises": ("ln -s src/../../etc link", "leads out"),
    "a symlink into .git": ("ln -s .git/config link", "leads out"),
}


@pytest.mark.parametrize(("script", "reason"), FILES.values(), ids=FILES.keys())
def test_files_that_nobody_should_get_are_refused_with_advice(workspace, script, reason) -> None:
    base = workspace.mirror.head("main")
    assert workspace.sandbox.sh(script).ok

    with pytest.raises(WorkRefused, match=reason):
        workspace.collect(base, "Evil")

    assert workspace.mirror.refs("refs/heads/") == {}


def test_symlinks_within_the_repository_are_fine(workspace) -> None:
    workspace.sandbox.sh("ln -s README.md link; ln -s ../README.md src/link; ln -s ./src inner")

    sha = workspace.collect(workspace.mirror.head("main"), "Links")

    assert workspace.mirror.file(sha, "src/link") == b"../README.md"


def test_submodules_and_links_that_were_there_before_may_stay(atlas, mirror) -> None:
    (atlas.path / "outside").symlink_to("/etc/hosts")
    atlas.git("update-index", "--add", "--cacheinfo", f"160000,{atlas.head()},sub")
    atlas.commit({".gitmodules": '[submodule "sub"]\n\tpath = sub\n\turl = https://example.org/sub\n'})
    (atlas.path / "sub").mkdir()
    base = atlas.git("rev-parse", "HEAD")
    mirror.fetch_from(CloneSpec(str(atlas.path)))
    workspace = Workspace("sub", mirror)
    workspace.open(base, "mcc/sub").sh("echo more >> README.md")

    sha = workspace.collect(base, "More")
    workspace.close()

    assert [change.path for change in mirror.changed_files(base, sha)] == ["README.md"]


def test_the_sandbox_cannot_write_to_the_mirror(workspace) -> None:
    before = fingerprint(workspace.mirror.path)
    tried = workspace.sandbox.sh(
        "git push -q /mcc/repo.git HEAD:refs/heads/main; git -C /mcc/repo.git config core.fsmonitor x; "
        "touch /mcc/repo.git/hook; mkdir /mcc/repo.git/hooks; chmod u+w /mcc/repo.git/objects/pack/*; "
        "for f in /mcc/repo.git/objects/pack/*.pack /mcc/repo.git/config; do echo x >> $f; done"
    )

    assert "Read-only file system" in tried.text
    assert fingerprint(workspace.mirror.path) == before


def fingerprint(path: Path) -> dict[str, tuple[int, int]]:
    return {str(entry): (entry.lstat().st_size, entry.lstat().st_mode) for entry in sorted(path.rglob("*"))}


def test_no_module_but_the_one_for_the_host_starts_git() -> None:
    """Host git in a workspace would execute what an agent configured, so there is one door."""
    root = Path(__file__).resolve().parents[3]
    apps = ("mcc", "budgets", "agents", "projects", "githubsync", "notifications")
    sources = [path for app in apps for path in (root / app).rglob("*.py") if "tests" not in path.parts]
    texts = {str(path.relative_to(root)): path.read_text() for path in sources}

    starting = {name for name, text in texts.items() if "subprocess" in text and re.search(r"[\"']git[\"']", text)}

    assert starting == {"projects/git/host.py"}
