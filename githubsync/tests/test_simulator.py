"""The simulator answers as GitHub does. Every answer in these tests is also held against GitHub's schema."""

import base64
import os
import subprocess

import pytest
import requests

from githubsync.simulator.api import PREFIX
from githubsync.simulator.routing import routes
from githubsync.tests import schema
from projects.tests.repositories import ENVIRONMENT


def test_every_endpoint_is_one_of_githubs_and_there_are_many():
    assert [
        (route.method, route.pattern) for route in routes if (route.method, route.pattern) not in schema.answers()
    ] == []
    assert len(routes) > 35


def test_the_schema_catches_what_is_missing_or_of_the_wrong_kind(github):
    exchange = github.simulator.exchanges
    github.ask("GET", "{repo}/labels")
    github.ask("GET", "{repo}")
    whole = exchange[-1]
    assert schema.deviations(whole) == []
    for wrong in ({"clone_url": None}, {"id": "7"}, {"owner": {"login": "ada"}}):
        broken = {**whole.body, **wrong}
        assert schema.deviations(type(whole)(**{**vars(whole), "body": broken})) != []


def test_issues_are_made_changed_found_and_closed(github):
    made = github.made("{repo}/issues", {"title": "It rains", "body": "in", "labels": ["bug"]})
    github.made("{repo}/issues", {"title": "Another"})

    github.ask("PATCH", f"{{repo}}/issues/{made['number']}", {"state": "closed"})

    titles = lambda **query: [i["title"] for i in github.ask("GET", "{repo}/issues", params=query).json()]  # noqa: E731
    assert titles() == ["Another"]
    assert titles(state="all", direction="asc") == ["It rains", "Another"]
    assert titles(state="all", labels="bug") == ["It rains"]
    assert titles(since="2999-01-01T00:00:00Z") == []
    assert github.ask("GET", "{repo}/issues/1").json()["closed_at"]
    assert github.ask("GET", "{repo}/issues/99").status_code == 404
    assert github.ask("POST", "{repo}/issues", {}).json()["errors"] == [
        {"resource": "Issue", "code": "missing_field", "field": "title"}
    ]


def test_comments_and_labels(github):
    github.made("{repo}/issues", {"title": "It rains"})
    comment = github.made("{repo}/issues/1/comments", {"body": "Still."})
    where = f"{{repo}}/issues/comments/{comment['id']}"

    assert github.ask("PATCH", where, {"body": "No more."}).json()["body"] == "No more."
    assert github.ask("GET", where).json()["issue_url"].endswith("/issues/1")
    assert [c["id"] for c in github.ask("GET", "{repo}/issues/1/comments").json()] == [comment["id"]]
    assert len(github.ask("GET", "{repo}/issues/comments").json()) == 1
    assert github.ask("DELETE", where).status_code == 204
    assert github.ask("GET", where).status_code == 404

    github.made("{repo}/labels", {"name": "mcc", "color": "3355ff"})
    assert github.ask("POST", "{repo}/labels", {"name": "MCC"}).status_code == 422
    assert [label["name"] for label in github.ask("POST", "{repo}/issues/1/labels", {"labels": ["mcc", "new"]}).json()]
    assert [label["name"] for label in github.ask("DELETE", "{repo}/issues/1/labels/mcc").json()] == ["new"]
    assert github.ask("DELETE", "{repo}/issues/1/labels/mcc").status_code == 404


def test_a_pull_request_from_opening_to_merging(github):
    pull = github.pull(draft=True)
    where = f"{{repo}}/pulls/{pull['number']}"
    assert (pull["draft"], pull["mergeable"], pull["changed_files"]) == (True, True, 1)
    assert github.ask("GET", "{repo}/pulls", params={"head": "ada:mcc/one"}).json()[0]["number"] == 1
    assert github.ask("GET", f"{where}/files").json()[0]["filename"] == "one.txt"
    assert len(github.ask("GET", f"{where}/commits").json()) == 1
    assert github.ask("PUT", f"{where}/merge", {}).status_code == 405

    github.make_ready(pull)
    newest = github.commit({"two.txt": "2\n"}, "mcc/one")
    assert github.ask("GET", where).json()["head"]["sha"] == newest
    assert github.ask("PUT", f"{where}/merge", {"sha": pull["head"]["sha"]}).status_code == 409

    asked = {"sha": newest, "merge_method": "squash", "commit_title": "One (#1)", "commit_message": "Why."}
    merged = github.ask("PUT", f"{where}/merge", asked).json()

    after = github.ask("GET", where).json()
    assert (after["merged"], after["merge_commit_sha"]) == (True, merged["sha"])
    commit = github.ask("GET", "{repo}/commits/main").json()
    assert (commit["sha"], commit["commit"]["message"]) == (merged["sha"], "One (#1)\n\nWhy.")
    assert github.ask("PUT", f"{where}/merge", {}).status_code == 405
    assert github.ask("PATCH", where, {"state": "open"}).status_code == 422


def test_a_rebase_puts_each_commit_on_top_of_the_base_and_conflicts_are_refused(github):
    github.pull()
    github.commit({"two.txt": "2\n"}, "mcc/one")
    base = github.commit({"three.txt": "3\n"})

    merged = github.ask("PUT", "{repo}/pulls/1/merge", {"merge_method": "rebase"}).json()["sha"]

    bare = github.repo.bare
    first, second = (bare.facts(sha) for sha in reversed(bare.log(f"{base}..main")))
    assert (first.parents, second.parents, second.sha) == ([base], [first.sha], merged)
    assert [file.path for file in bare.files(first.sha, second.sha)] == ["two.txt"]
    assert {"one.txt", "two.txt", "three.txt"} <= set(bare.git("ls-tree", "--name-only", "main").split())

    github.pull("mcc/two", {"four.txt": "4\n"})
    github.commit({"four.txt": "other\n"})
    assert github.ask("PUT", "{repo}/pulls/2/merge", {"merge_method": "rebase"}).status_code == 405


def test_a_stranger_forks_and_opens_a_pull_request_from_there(github):
    github.repo.private = False
    eve = github.simulator.world.token("eve", permissions={"contents": "write", "pull_requests": "write"})
    assert github.ask("POST", "{repo}/forks", {}).status_code == 403, "its owner has it already"

    made = github.made("{repo}/forks", {}, eve)
    assert (made["full_name"], made["fork"], made["parent"]["full_name"]) == ("eve/atlas", True, "ada/atlas")
    assert github.made("{repo}/forks", {}, eve)["id"] == made["id"]
    fork = github.simulator.world.repos[made["id"]]

    def commits(text: str) -> str:
        base = fork.bare.heads()["main"]
        blob = fork.bare.git("hash-object", "-w", "--stdin", stdin=text)
        tree = fork.bare.git("mktree", stdin=f"100644 blob {blob}\tevil.txt\n")
        return fork.bare.commit_tree(tree, [base], "Evil", ("Eve", "eve@example.org"))

    fork.bare.point("refs/heads/mine", first := commits("1\n"))
    body = {"title": "Mine", "head": "eve:mine", "base": "main"}
    for head in ("mine", "bob:mine", "eve:yours"):
        assert github.ask("POST", "{repo}/pulls", {**body, "head": head}, eve).status_code == 422
    pull = github.made("{repo}/pulls", body, eve)
    assert (pull["head"]["repo"]["fork"], pull["head"]["label"], pull["mergeable"]) == (True, "eve:mine", True)
    assert github.ask("POST", "{repo}/pulls", body, eve).status_code == 422
    assert len(github.ask("GET", "{repo}/pulls", params={"head": "eve:mine"}).json()) == 1
    assert github.repo.bare.ref("refs/pull/1/head") == first
    assert "mine" not in github.repo.bare.heads()

    second = commits("2\n")
    assert github.ask("PATCH", "/repos/eve/atlas/git/refs/heads/mine", {"sha": second, "force": True}, eve).ok
    assert github.ask("GET", "{repo}/pulls/1").json()["head"]["sha"] == second
    assert github.ask("PUT", "{repo}/pulls/1/merge", {}, eve).status_code == 403
    assert github.ask("PUT", "{repo}/pulls/1/merge", {"sha": second}).ok


def test_pull_requests_that_cannot_be(github):
    github.pull()
    body = {"title": "One", "head": "mcc/one", "base": "main"}
    assert "already exists" in github.ask("POST", "{repo}/pulls", body).json()["errors"][0]["message"]
    assert "No commits" in github.ask("POST", "{repo}/pulls", {**body, "head": "main"}).json()["errors"][0]["message"]
    assert github.ask("POST", "{repo}/pulls", {**body, "head": "nowhere"}).json()["errors"][0]["field"] == "head"

    github.commit({"one.txt": "other\n"})
    assert github.ask("GET", "{repo}/pulls/1").json()["mergeable"] is False
    assert github.ask("PUT", "{repo}/pulls/1/merge", {}).status_code == 405


def test_a_pull_request_closes_with_its_branch(github):
    github.pull()
    assert github.ask("DELETE", "{repo}/git/refs/heads/mcc/one").status_code == 204
    assert github.ask("DELETE", "{repo}/git/refs/heads/mcc/one").status_code == 422
    assert github.ask("GET", "{repo}/pulls/1").json()["state"] == "closed"


def test_reviews_with_inline_comments(github):
    github.pull()
    bea = github.simulator.world.token("bea", permissions={"pull_requests": "write"})
    github.repo.collaborators[bea.account.id] = "write"
    inline = [{"path": "one.txt", "line": 1, "body": "Why?"}]

    assert github.ask("POST", "{repo}/pulls/1/reviews", {"event": "APPROVE"}).status_code == 422
    given = github.made("{repo}/pulls/1/reviews", {"event": "REQUEST_CHANGES", "body": "No", "comments": inline}, bea)

    assert given["state"] == "CHANGES_REQUESTED"
    assert [r["user"]["login"] for r in github.ask("GET", "{repo}/pulls/1/reviews").json()] == ["bea"]
    assert [c["body"] for c in github.ask("GET", "{repo}/pulls/1/comments").json()] == ["Why?"]


def test_refs_branches_and_comparison(github):
    base = github.persons.head()
    head = github.commit({"a.txt": "1\n"}, "topic")
    new = {"ref": "refs/heads/copy", "sha": base}
    assert github.made("{repo}/git/refs", new)["object"]["sha"] == base
    assert github.ask("POST", "{repo}/git/refs", new).status_code == 422
    assert github.ask("PATCH", "{repo}/git/refs/heads/copy", {"sha": head}).json()["object"]["sha"] == head
    assert github.ask("PATCH", "{repo}/git/refs/heads/copy", {"sha": base}).status_code == 422
    assert github.ask("GET", "{repo}/git/ref/heads/nowhere").status_code == 404
    assert {b["name"] for b in github.ask("GET", "{repo}/branches").json()} == {"copy", "main", "topic"}

    found = github.ask("GET", "{repo}/compare/main...topic").json()

    assert (found["status"], found["ahead_by"], [f["filename"] for f in found["files"]]) == ("ahead", 1, ["a.txt"])
    assert github.ask("GET", "{repo}/compare/main...nowhere").status_code == 404


def test_check_runs_are_for_apps_and_statuses_for_all(github):
    head = github.persons.head()
    app = github.simulator.world.token("mcc-app", permissions={"checks": "write"}, is_app=True)
    github.repo.collaborators[app.account.id] = "write"
    run = {"name": "mcc/review", "head_sha": head}
    assert github.ask("POST", "{repo}/check-runs", run).status_code == 403
    made = github.made("{repo}/check-runs", run, app)
    done = github.ask("PATCH", f"{{repo}}/check-runs/{made['id']}", {"conclusion": "success"}, app).json()
    assert done["status"] == "completed"
    assert github.ask("GET", f"{{repo}}/commits/{head}/check-runs", token=app).json()["total_count"] == 1

    combined = lambda: github.ask("GET", f"{{repo}}/commits/{head}/status").json()  # noqa: E731
    assert (combined()["state"], combined()["total_count"]) == ("pending", 0)
    github.made(f"{{repo}}/statuses/{head}", {"state": "success", "context": "ci"})
    github.made(f"{{repo}}/statuses/{head}", {"state": "failure", "context": "mcc"})
    assert (combined()["state"], combined()["total_count"]) == ("failure", 2)
    assert github.ask("POST", f"{{repo}}/statuses/{head}", {"state": "great"}).status_code == 422


def test_who_asks_and_what_they_may(github):
    world = github.simulator.world
    reader = world.token("ada", permissions={"metadata": "read", "issues": "read"})
    stranger = world.token("mallory", permissions={"metadata": "read", "issues": "write"})
    elsewhere = world.token("ada", permissions={"issues": "write"}, repositories=frozenset())
    classic = world.token("ada", scopes=("repo", "workflow"))
    viewer = world.token("vic", scopes=("repo",))
    github.repo.collaborators[viewer.account.id] = "read"

    assert github.ask("GET", "/user").json()["login"] == "ada"
    assert github.ask("GET", "/user", headers={"Authorization": "token nonsense"}).status_code == 401
    assert [r["full_name"] for r in github.ask("GET", "/user/repos").json()] == ["ada/atlas"]
    refused = github.ask("POST", "{repo}/issues", {"title": "x"}, reader)
    assert (refused.status_code, refused.headers["X-Accepted-GitHub-Permissions"]) == (403, "issues=write")
    assert github.ask("GET", "{repo}/issues", token=stranger).status_code == 404
    assert github.ask("GET", "{repo}/issues", token=elsewhere).status_code == 404
    assert github.ask("GET", "{repo}", token=classic).headers["X-OAuth-Scopes"] == "repo, workflow"
    assert github.ask("GET", "{repo}", token=viewer).json()["permissions"]["push"] is False
    assert github.ask("POST", "{repo}/labels", {"name": "x"}, viewer).status_code == 403
    assert github.ask("GET", "{repo}/collaborators/vic/permission").json()["permission"] == "read"
    github.repo.archived = True
    assert github.ask("POST", "{repo}/issues", {"title": "x"}).status_code == 403


def test_a_renamed_repository_redirects_reads_and_writes_differently(github):
    former = github.repo.full_name
    github.simulator.world.rename(github.repo, "globe")

    read, write = (github.ask(verb, f"/repos/{former}/issues", {"title": "x"}) for verb in ("GET", "POST"))

    assert (read.status_code, write.status_code) == (301, 307)
    assert read.headers["Location"].endswith(f"/repositories/{github.repo.id}/issues")
    made = github.made(f"/repositories/{github.repo.id}/issues", {"title": "x"})
    assert made["repository_url"].endswith("/repos/ada/globe")


def test_pages_are_linked(github):
    for number in range(5):
        github.made("{repo}/issues", {"title": str(number)})
    titles, url = [], "{repo}/issues?per_page=2&direction=asc"
    while url:
        answer = github.ask("GET", url)
        titles += [issue["title"] for issue in answer.json()]
        url = answer.links.get("next", {}).get("url", "").removeprefix(github.simulator.api_url)
    assert titles == ["0", "1", "2", "3", "4"]


def test_what_has_not_changed_is_not_sent_again_and_costs_nothing(github):
    first = github.ask("GET", "{repo}/issues")
    again = github.ask("GET", "{repo}/issues", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["X-RateLimit-Remaining"] == first.headers["X-RateLimit-Remaining"]
    other = github.simulator.world.token("ada", permissions={"issues": "read", "metadata": "read"})
    asked = github.ask("GET", "{repo}/issues", token=other, headers={"If-None-Match": first.headers["ETag"]})
    assert asked.status_code == 200, "an ETag belongs to its token"


def test_the_hour_is_used_up(github):
    github.simulator.api.requests_per_hour = 2
    answers = [github.ask("GET", "{repo}") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 403]
    assert answers[-1].headers["X-RateLimit-Remaining"] == "0"
    assert github.ask("GET", "/rate_limit").json()["rate"]["remaining"] == 0


@pytest.mark.parametrize("after", [False, True])
def test_a_fault_hides_the_answer_before_or_after_the_write(github, after):
    github.simulator.fail(r"POST .*/issues$", after=after)

    assert github.ask("POST", "{repo}/issues", {"title": "x"}).status_code == 502

    assert len(github.repo.issues) == int(after)
    assert github.ask("POST", "{repo}/issues", {"title": "x"}).status_code == 201


def test_faults_of_every_other_kind(github):
    fail = github.simulator.fail
    fail("GET", "html", status=503)
    assert github.ask("GET", "{repo}").text.startswith("<html>")
    fail("GET", "secondary", retry_after_s=7)
    assert github.ask("GET", "{repo}").headers["Retry-After"] == "7"
    fail("GET", "primary")
    assert github.ask("GET", "{repo}").status_code == 429
    fail("GET", "slow", delay_s=0.2)
    assert github.ask("GET", "{repo}").elapsed.total_seconds() >= 0.2
    fail("GET", "garbled")
    with pytest.raises(ValueError):
        github.ask("GET", "{repo}").json()
    fail("GET", "cut")
    with pytest.raises(requests.exceptions.RequestException):
        github.ask("GET", "{repo}")


def git(*args: str, token: str = "") -> subprocess.CompletedProcess:
    header = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    config = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {header}",
        "GIT_TERMINAL_PROMPT": "0",
    }
    return subprocess.run(["git", *args], env={**ENVIRONMENT, **config}, capture_output=True, text=True, timeout=30)


def test_git_clones_and_pushes_with_a_token_and_only_with_what_it_allows(github, place):
    world, url = github.simulator.world, f"{github.simulator.url}/ada/atlas.git"
    work = str(place / "clone")
    assert git("clone", "-q", url, work, token=github.token.value).returncode == 0
    assert "could not read Username" in git("ls-remote", url, token="nonsense").stderr
    assert "not found" in git("ls-remote", url, token=world.token("mallory", scopes=("repo",)).value).stderr

    pull = github.pull()
    # More than git sends in one piece: this push comes in chunks.
    (place / "clone" / "big.bin").write_bytes(os.urandom(2_000_000))
    for step in (["fetch", "-q", "origin"], ["checkout", "-q", "mcc/one"], ["add", "-A"], ["commit", "-qm", "Big"]):
        assert git("-C", work, *step, token=github.token.value).returncode == 0
    reader = world.token("ada", permissions={"contents": "read"})
    assert "403" in git("-C", work, "push", "-q", "origin", "mcc/one", token=reader.value).stderr
    assert git("-C", work, "push", "-q", "origin", "mcc/one", token=github.token.value).returncode == 0

    moved = github.ask("GET", f"{{repo}}/pulls/{pull['number']}").json()
    assert (moved["head"]["sha"] != pull["head"]["sha"], moved["commits"]) == (True, 2)


def test_it_listens_on_this_machine_only(simulator):
    assert simulator.server.server_address[0] == "127.0.0.1"
    assert simulator.api_url == simulator.url + PREFIX
    assert requests.get(simulator.url + "/elsewhere", timeout=5).status_code == 404
