"""What only a forge behind a network meets: lost answers, renames, rights, and a token that nobody may see."""

import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from githubsync import access
from githubsync.client import Rejected
from githubsync.forge import GitHubForge
from githubsync.models import Repository
from githubsync.services import naming
from githubsync.tests import factories
from mcc.core.errors import InvalidInput
from projects.forge import Forbidden, InTheWay, MergeMethod, NotFound, PullRef, Unavailable
from projects.git import Mirror, remote
from projects.models import Project

pytestmark = pytest.mark.django_db
ABOUT = {"number": 1, "base_branch": "main", "title": "One", "body": "Why", "draft": True}


@pytest.fixture
def forge(github) -> GitHubForge:
    return GitHubForge(factories.linked_project(github))


@pytest.fixture
def mirror(forge) -> Mirror:
    mirror = Mirror(forge.project.pk)
    mirror.fetch_from(forge.fetch_source())
    return mirror


def work(mirror: Mirror, path: str = "one.txt") -> str:
    """Return a commit on main that adds a file."""
    base = mirror.head("main")
    oid = mirror.git.text("hash-object", "-w", "--stdin", stdin=path.encode())
    lines = [*mirror.git.text("ls-tree", base).splitlines(), f"100644 blob {oid}\t{path}"]
    tree = mirror.git.text("mktree", stdin="".join(f"{line}\n" for line in lines).encode())
    return mirror.commit_tree(tree, [base], "Work")


def opened(forge: GitHubForge, mirror: Mirror) -> tuple[PullRef, str]:
    sha = work(mirror)
    forge.push_branch("mcc/one", sha, None)
    return forge.open_pull(branch="mcc/one", **ABOUT), sha


def merged(forge: GitHubForge, mirror: Mirror, pull: PullRef, sha: str) -> str:
    wanted = {"base_branch": "main", "expected_base_sha": mirror.head("main"), "method": MergeMethod.SQUASH}
    return forge.merge(sha, message="One (#1)\n\nWhy", pull=pull, **wanted).sha


def test_a_lost_answer_makes_no_second_pull_request(github, forge, mirror):
    forge.push_branch("mcc/one", work(mirror), None)
    github.simulator.fail(r"POST .*/pulls$", after=True)
    with pytest.raises(Unavailable):
        forge.open_pull(branch="mcc/one", **ABOUT)

    again = forge.open_pull(branch="mcc/one", **ABOUT)

    assert (again.number, len(github.repo.pulls())) == (1, 1)
    assert again.url == f"{github.simulator.url}/ada/atlas/pull/1"


def test_a_lost_answer_makes_no_second_merge(github, forge, mirror):
    pull, sha = opened(forge, mirror)
    github.simulator.fail(r"PUT .*/merge", "cut")

    landed = merged(forge, mirror, pull, sha)

    assert landed == forge.head("main")
    assert merged(forge, mirror, pull, sha) == landed
    assert len(github.simulator.requests("PUT")) == 1
    assert mirror.head("main") == landed, "what landed is here at once"


def test_a_pull_request_is_changed_made_ready_and_closed(github, forge, mirror):
    pull, _ = opened(forge, mirror)
    state = github.repo.issues[pull.number]
    assert (state.pull.draft, state.title, state.body) == (True, "One", "Why")

    forge.update_pull(pull, title="Two", draft=False)
    assert (state.pull.draft, state.title, state.body) == (False, "Two", "Why")
    forge.update_pull(pull, draft=True)
    assert state.pull.draft
    forge.update_pull(pull, closed=True)
    assert state.state == "closed"


def test_what_githubs_rules_refuse_is_in_the_way_and_says_so(github, forge, mirror):
    pull, sha = opened(forge, mirror)
    github.simulator.fail(r"PUT .*/merge", status=405)
    with pytest.raises(InTheWay, match="own rules"):
        merged(forge, mirror, pull, sha)


def test_a_head_that_somebody_pushed_to_is_not_merged(github, forge, mirror):
    pull, sha = opened(forge, mirror)
    newer = github.commit({"two.txt": "2\n"}, "mcc/one")

    with pytest.raises(InTheWay, match=f"Somebody pushed.*{newer[:12]}"):
        merged(forge, mirror, pull, sha)

    assert (forge.head("mcc/one"), github.repo.issues[1].state) == (newer, "open")


def test_a_repository_that_is_renamed_in_the_middle_is_followed(github, forge, mirror):
    pull, sha = opened(forge, mirror)
    github.simulator.world.rename(github.repo, "globe")

    landed = merged(forge, mirror, pull, sha)
    forge.push_branch("mcc/two", work(mirror, "two.txt"), None)
    forge.delete_branch("mcc/one")

    assert forge.head("main") == landed
    assert Repository.objects.get().full_name == "ada/globe"
    assert forge.repository().url == f"{github.simulator.url}/ada/globe"


def asked_what_it_is_called(github) -> int:
    where = f"/api/v3/repositories/{github.repo.id}"
    return len([one for one in github.simulator.requests("GET") if one.path == where])


def test_github_is_asked_what_the_repository_is_called_once_in_a_while(github, forge, mirror):
    asked = asked_what_it_is_called(github)
    for number in range(3):
        forge.push_branch(f"mcc/{number}", work(mirror, f"{number}.txt"), None)
        mirror.fetch()
    assert asked_what_it_is_called(github) == asked

    Repository.objects.update(named_at=timezone.now() - naming.TRUSTED - timedelta(seconds=1))
    mirror.fetch()
    mirror.fetch()

    assert asked_what_it_is_called(github) == asked + 1


def test_another_repository_that_takes_the_old_name_over_gets_nothing(github):
    forge = GitHubForge(factories.linked_project(github, by=factories.app_connection(github)))
    mirror = Mirror(forge.project.pk)
    mirror.fetch()
    github.simulator.world.rename(github.repo, "globe")
    other = github.simulator.world.repo("ada/atlas")
    github.persons.git("push", "-q", str(other.bare.path), "main:main", "main:theirs")

    forge.push_branch("mcc/one", sha := work(mirror), None)
    mirror.fetch()

    assert (github.repo.bare.heads()["mcc/one"], sorted(mirror.branches())) == (sha, ["main", "mcc/one"])
    assert sorted(other.bare.heads()) == ["main", "theirs"]


def test_one_that_is_gone_is_asked_for_once_and_no_more(github, forge, mirror):
    github.simulator.world.repos.clear()
    asked = len(github.simulator.requests())

    with pytest.raises(NotFound, match="knows no such thing"):
        mirror.fetch()

    assert len(github.simulator.requests()) == asked + 2  # git, and what it is called


@pytest.mark.parametrize(
    ("spoil", "field", "says"),
    [
        (lambda github: setattr(github.repo, "archived", True), "repository", "archived"),
        (lambda github: github.token.permissions.pop("contents"), "default_branch", "contents=read"),
        (lambda github: github.repo.bare.drop("refs/heads/main"), "default_branch", "no branch main"),
        (lambda github: github.simulator.world.repos.clear(), "repository", "no such thing"),
    ],
    ids=["archived", "permission", "branch", "gone"],
)
def test_it_says_why_a_repository_cannot_be_worked_with(github, forge, spoil, field, says):
    forge.ensure_reachable()
    spoil(github)
    with pytest.raises(InvalidInput, match=says) as refused:
        forge.ensure_reachable()
    assert list(refused.value.fields) == [field]


def test_reading_is_not_enough(github, forge):
    vic = github.simulator.world.token("vic", scopes=("repo",))
    github.repo.collaborators[vic.account.id] = "read"
    connection = forge.linked.connection
    connection.token = vic.value
    connection.save()
    with pytest.raises(InvalidInput, match="may read ada/atlas but not write"):
        GitHubForge(forge.project).ensure_reachable()


def test_a_push_without_the_right_is_forbidden(github, forge, mirror):
    github.token.permissions["contents"] = "read"
    with pytest.raises(Forbidden, match="does not let MCC write"):
        forge.push_branch("mcc/one", work(mirror), None)


def test_a_server_that_refuses_a_push_is_quoted(github, forge, mirror):
    github.repo.bare.git("config", "receive.hideRefs", "refs/heads/mcc")
    with pytest.raises(Forbidden, match="refuses this push: deny updating a hidden ref"):
        forge.push_branch("mcc/one", work(mirror), None)


def test_a_project_that_is_not_linked_has_no_repository(db):
    with pytest.raises(NotFound, match="linked to no repository"):
        GitHubForge(Project(repository="https://github.com/ada/atlas")).head("main")


def test_a_project_is_founded_on_what_was_just_linked(github):
    row = factories.repository(github)
    founded = GitHubForge(Project(repository=row.html_url, default_branch="main"))
    founded.ensure_reachable()
    assert founded.repository().id == str(github.repo.id)


def test_the_token_is_in_no_address_no_file_and_no_list_of_processes(github, forge, mirror):
    spec = forge.fetch_source()
    secrets = [github.token.value, spec.env["GIT_CONFIG_VALUE_0"].rpartition(" ")[2]]
    seen: set[str] = set()
    done = threading.Event()

    def watch() -> None:
        deadline = time.monotonic() + 30
        while not done.is_set() and time.monotonic() < deadline:
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(path.read_text().replace("\0", " "))
                except OSError:
                    continue
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for number in range(3):
            forge.push_branch(f"mcc/{number}", work(mirror, f"{number}.txt"), None)
    finally:
        done.set()
        watcher.join()
    assert any("push" in line and "--force-with-lease" in line for line in seen), "nobody saw the push"
    texts = [*seen, spec.url, repr(spec), (mirror.path / "config").read_text()]
    assert [text for text in texts for secret in secrets if secret in text] == []
    assert spec.env["GIT_CONFIG_KEY_0"] == f"http.{github.simulator.url}/.extraHeader", "it is bound to one host"


@pytest.mark.parametrize(
    "how", [{"after": True}, {"kind": "html", "after": True}, {"kind": "cut"}, {"kind": "garbled"}]
)
def test_a_push_whose_answer_is_lost_has_happened_and_holds_nobody_up(github, forge, mirror, monkeypatch, how):
    monkeypatch.setattr(remote, "PUSHING", replace(remote.PUSHING, wall_s=2))
    github.simulator.fail(r"POST .*/git-receive-pack$", **how)

    forge.push_branch("mcc/one", sha := work(mirror), None)

    assert github.repo.bare.heads()["mcc/one"] == sha


def test_a_redirect_of_git_is_not_followed_with_the_token(github, forge, mirror):
    before = replace(access.clone_spec(forge.linked), asked_anew=None)
    github.simulator.world.rename(github.repo, "globe")
    with pytest.raises((NotFound, Unavailable)):
        mirror.fetch_from(before)
    mirror.fetch_from(forge.fetch_source())


def test_an_invalid_pull_request_is_refused_in_githubs_words(forge, mirror):
    with pytest.raises(Rejected, match="head invalid"):
        forge.open_pull(branch="nowhere", **ABOUT)
