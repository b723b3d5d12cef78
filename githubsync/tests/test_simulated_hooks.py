"""The simulator delivers webhooks as GitHub does. Each payload is also held against GitHub's schema."""

import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import jwt
import pytest

from githubsync.simulator import apps
from githubsync.simulator.weather import Weather

EVERYTHING = dict.fromkeys(("metadata", "contents", "issues", "pull_requests", "statuses", "checks"), "write")
OWNERS = {**EVERYTHING, "repository_hooks": "write", "administration": "write"}
SECRET = "It's a Secret to Everybody"


@dataclass
class Ear:
    """A server that keeps what is posted to it and answers ``status``."""

    url: str = ""
    status: int = 202
    heard: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def events(self) -> list[tuple[str, str | None]]:
        """Return the events and actions that came in, in no order."""
        return sorted((headers["X-GitHub-Event"], json.loads(body).get("action")) for headers, body in self.heard)


@pytest.fixture
def ear() -> Iterator[Ear]:
    ear = Ear()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            ear.heard.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(ear.status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    ear.url = f"http://127.0.0.1:{server.server_port}/webhooks/"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield ear
    server.shutdown()
    server.server_close()


@pytest.fixture
def owner(github):
    github.token = github.simulator.world.token("ada", permissions=dict(OWNERS))
    with github.simulator.world.lock:
        github.simulator.world.follow_refs(github.repo)
    return github


def hook(github, ear, events=("*",), **config) -> int:
    """Make a hook; what its ping said is forgotten."""
    given = {"url": ear.url, "content_type": "json", "secret": SECRET, **config}
    made = github.made("{repo}/hooks", {"config": given, "events": list(events)})
    github.simulator.courier.wait()
    ear.heard.clear()
    return made["id"]


def heard(github, ear) -> list[tuple[str, str | None]]:
    """Wait until everything came in; return what and forget it."""
    github.simulator.courier.wait()
    events = ear.events()
    ear.heard.clear()
    return events


def test_what_a_hook_sends_is_signed_and_says_what_it_is(owner, ear):
    number = hook(owner, ear)

    owner.made("{repo}/issues", {"title": "It rains"})

    owner.simulator.courier.wait()
    [(headers, body)] = ear.heard
    digits = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Hub-Signature-256"] == f"sha256={digits}"
    assert (headers["X-GitHub-Event"], headers["X-GitHub-Hook-ID"]) == ("issues", str(number))
    assert headers["X-GitHub-Hook-Installation-Target-Type"] == "repository"
    assert headers["Content-Type"] == "application/json"
    told = json.loads(body)
    assert (told["action"], told["issue"]["title"], told["sender"]["login"]) == ("opened", "It rains", "ada")
    assert told["repository"]["id"] == owner.repo.id
    assert SECRET not in owner.ask("GET", f"{{repo}}/hooks/{number}").text


def test_everything_that_happens_is_told(owner, ear):
    hook(owner, ear)
    issue = "{repo}/issues/1"

    owner.made("{repo}/issues", {"title": "It rains", "labels": ["wet"]})
    assert heard(owner, ear) == [("issues", "labeled"), ("issues", "opened"), ("label", "created")]
    owner.ask("DELETE", f"{issue}/labels/wet")
    owner.ask("PATCH", issue, {"title": "It pours", "state": "closed"})
    owner.ask("PATCH", issue, {"state": "open"})
    assert heard(owner, ear) == [("issues", action) for action in ("closed", "edited", "reopened", "unlabeled")]
    owner.ask("POST", f"{issue}/assignees", {"assignees": ["ada", "nobody"]})
    owner.ask("DELETE", f"{issue}/assignees", {"assignees": ["ada"]})
    assert heard(owner, ear) == [("issues", "assigned"), ("issues", "unassigned")]
    comment = owner.made(f"{issue}/comments", {"body": "Still."})
    owner.ask("PATCH", f"{{repo}}/issues/comments/{comment['id']}", {"body": "No more."})
    owner.ask("DELETE", f"{{repo}}/issues/comments/{comment['id']}")
    assert heard(owner, ear) == [("issue_comment", action) for action in ("created", "deleted", "edited")]
    owner.ask("PATCH", "{repo}", {"name": "globe"})
    assert heard(owner, ear) == [("repository", "renamed")]
    for archived in (True, False):
        assert owner.ask("PATCH", "{repo}", {"archived": archived}).json()["archived"] is archived
    assert heard(owner, ear) == [("repository", "archived"), ("repository", "unarchived")]
    owner.simulator.world.account("carl")
    assert owner.ask("POST", "{repo}/transfer", {"new_owner": "nobody"}).status_code == 422
    assert owner.made("{repo}/transfer", {"new_owner": "carl"})["full_name"] == "carl/globe"
    assert heard(owner, ear) == [("repository", "transferred")]
    assert owner.ask("DELETE", "{repo}").status_code == 204
    assert heard(owner, ear) == [("repository", "deleted")]
    assert owner.ask("GET", "{repo}").status_code == 404


def test_on_bad_days_some_are_lost_some_come_twice_and_all_in_another_order(owner, ear):
    number_of_hook = hook(owner, ear)
    owner.simulator.courier.weather = Weather(lost=0.2, twice=0.3, late_s=0.3, seed=5)
    for number in range(20):
        owner.made("{repo}/issues", {"title": f"Number {number}"})
    owner.simulator.courier.wait()

    arrived = [(headers["X-GitHub-Delivery"], json.loads(body)["issue"]["number"]) for headers, body in ear.heard]
    numbers = [number for _, number in arrived]
    once = dict.fromkeys(arrived)
    assert 10 < len(once) < 20, "some are lost"
    assert len(arrived) > len(once), "some come twice, under the same GUID"
    assert numbers != sorted(numbers)
    rows = owner.ask("GET", f"{{repo}}/hooks/{number_of_hook}/deliveries?per_page=100").json()
    sent = {row["guid"] for row in rows if row["event"] != "ping"}
    assert sent == {guid for guid, _ in once}, "what was never sent is in no list"


def test_a_pull_request_is_told_of_from_the_push_to_the_merge(owner, ear):
    hook(owner, ear)
    bob = owner.simulator.world.token("bob", permissions=EVERYTHING)
    owner.repo.collaborators[bob.account.id] = "write"

    pull = owner.pull(draft=True)
    where = f"{{repo}}/pulls/{pull['number']}"
    assert heard(owner, ear) == [("create", None), ("pull_request", "opened"), ("push", None)]
    owner.commit({"two.txt": "2\n"}, "mcc/one")
    assert heard(owner, ear) == [("pull_request", "synchronize"), ("push", None)]
    sha = owner.ask("GET", where).json()["head"]["sha"]
    owner.made(f"{{repo}}/statuses/{sha}", {"state": "failure", "context": "ci"})
    remark = {"path": "one.txt", "line": 1, "body": "Why?"}
    made = owner.made(f"{where}/reviews", {"event": "REQUEST_CHANGES", "body": "No.", "comments": [remark]}, bob)
    owner.ask("PUT", f"{where}/reviews/{made['id']}/dismissals", {"message": "Never mind."})
    review = [("pull_request_review", action) for action in ("dismissed", "submitted")]
    assert heard(owner, ear) == [*review, ("pull_request_review_comment", "created"), ("status", None)]
    owner.ask("PATCH", where, {"body": "Closes #1"})
    owner.make_ready(pull)
    assert heard(owner, ear) == [("pull_request", "edited"), ("pull_request", "ready_for_review")]
    owner.ask("PUT", f"{where}/merge", {"merge_method": "squash"})
    assert heard(owner, ear) == [("pull_request", "closed"), ("push", None)]
    owner.ask("DELETE", "{repo}/git/refs/heads/mcc/one")
    assert heard(owner, ear) == [("delete", None), ("push", None)]


def test_ci_is_told_of_by_runs_their_suite_and_the_workflow_that_they_are_jobs_of(owner, ear):
    hook(owner, ear)
    theirs = owner.simulator.world.token("theirs", permissions={"checks": "write"}, is_app=True)
    owner.repo.collaborators[theirs.account.id] = "write"
    head = owner.persons.head()
    first, second = (
        owner.made("{repo}/check-runs", {"name": name, "head_sha": head}, theirs) for name in ("build", "lint")
    )
    assert first["check_suite"] == second["check_suite"]
    assert heard(owner, ear) == [("check_run", "created")] * 2

    owner.ask("PATCH", f"{{repo}}/check-runs/{first['id']}", {"conclusion": "failure"}, theirs)
    assert heard(owner, ear) == [("check_run", "completed")], "another one is not over"
    owner.repo.check_runs[-1].log = "It is a job."
    owner.ask("PATCH", f"{{repo}}/check-runs/{second['id']}", {"conclusion": "success"}, theirs)
    owner.simulator.courier.wait()

    told = {headers["X-GitHub-Event"]: json.loads(body) for headers, body in ear.heard}
    assert set(told) == {"check_run", "check_suite", "workflow_run"}
    for name in ("check_suite", "workflow_run"):
        about = told[name][name]
        assert (told[name]["action"], about["conclusion"], about["head_sha"]) == ("completed", "failure", head)


def test_what_was_delivered_is_listed_and_sent_again_on_request_only(owner, ear):
    number = hook(owner, ear)
    where = f"{{repo}}/hooks/{number}/deliveries"
    ear.status = 503
    owner.made("{repo}/issues", {"title": "It rains"})
    owner.simulator.courier.wait()
    ear.status = 202
    owner.made("{repo}/issues/1/comments", {"body": "Still."})
    assert heard(owner, ear) == [("issue_comment", "created"), ("issues", "opened")]

    newest, failed, ping = owner.ask("GET", where).json()
    assert [one["event"] for one in (newest, failed, ping)] == ["issue_comment", "issues", "ping"]
    assert (failed["status_code"], failed["status"], failed["redelivery"]) == (503, "Invalid HTTP Response: 503", False)
    assert failed["repository_id"] == owner.repo.id
    page = owner.ask("GET", where, params={"per_page": "2"})
    following = page.links["next"]["url"].removeprefix(owner.simulator.api_url)
    assert [one["id"] for one in owner.ask("GET", following).json()] == [ping["id"]]
    whole = owner.ask("GET", f"{where}/{failed['id']}").json()
    assert whole["request"]["payload"]["issue"]["title"] == "It rains"
    assert whole["response"]["payload"] == "ok"

    assert owner.ask("POST", f"{where}/{failed['id']}/attempts").status_code == 202
    owner.simulator.courier.wait()
    [(headers, _)] = ear.heard
    assert headers["X-GitHub-Delivery"] == failed["guid"]
    again = owner.ask("GET", where).json()[0]
    assert (again["guid"], again["status"], again["redelivery"]) == (failed["guid"], "OK", True)
    assert owner.ask("GET", f"{where}/1").status_code == 404


def test_a_hook_is_changed_silenced_and_removed_by_whoever_may(owner, ear):
    number = hook(owner, ear, events=["issues"], content_type="form")
    where = f"{{repo}}/hooks/{number}"
    owner.made("{repo}/issues", {"title": "It rains"})
    owner.made("{repo}/issues/1/comments", {"body": "Still."})
    owner.simulator.courier.wait()
    [(headers, body)] = ear.heard
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert json.loads(parse_qs(body.decode())["payload"][0])["action"] == "opened"
    ear.heard.clear()

    assert owner.ask("PATCH", where, {"add_events": ["issue_comment"]}).json()["events"] == ["issues", "issue_comment"]
    owner.ask("PATCH", f"{where}/config", {"content_type": "json"})
    assert owner.ask("GET", f"{where}/config").json() == {
        "url": ear.url,
        "content_type": "json",
        "insecure_ssl": "0",
        "secret": "********",
    }
    owner.made("{repo}/issues/1/comments", {"body": "Still."})
    assert heard(owner, ear) == [("issue_comment", "created")]
    owner.ask("PATCH", where, {"active": False})
    owner.made("{repo}/issues/1/comments", {"body": "Still."})
    assert heard(owner, ear) == []
    assert owner.ask("POST", f"{where}/pings").status_code == 204
    assert heard(owner, ear) == [("ping", None)]
    bob = owner.simulator.world.token("bob", permissions=OWNERS)
    owner.repo.collaborators[bob.account.id] = "write"
    assert owner.ask("GET", "{repo}/hooks", token=bob).status_code == 403
    narrow = owner.simulator.world.token("ada", permissions=EVERYTHING)
    assert owner.ask("POST", "{repo}/hooks", {}, narrow).status_code == 403
    assert owner.ask("POST", "{repo}/hooks", {}).status_code == 422
    assert owner.ask("DELETE", where).status_code == 204
    assert owner.ask("GET", "{repo}/hooks").json() == []


def test_what_no_one_answers_is_written_down_and_nothing_leaves_this_machine(owner, ear):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{silent.getsockname()[1]}/"
    for url in (closed, "http://192.0.2.1/", "https://mcc.example.org/"):
        owner.made("{repo}/hooks", {"config": {"url": url}})
    owner.simulator.courier.wait()
    for each in owner.repo.hooks:
        [sent] = each.deliveries
        assert (sent.status_code, sent.status) == (0, "failed to connect to host")


def test_an_app_hears_by_its_own_hook_of_where_it_is_installed(owner, ear):
    world = owner.simulator.world
    about = {"name": "MCC", "url": "http://127.0.0.1", "default_permissions": EVERYTHING}
    heard_of = {"default_events": ["issues", "check_run"], "hook_attributes": {"url": ear.url}}
    app, _ = apps.create(world, "ada", about | heard_of)
    owner.made("{repo}/issues", {"title": "Before"})
    assert heard(owner, ear) == [("ping", None)]
    place = apps.install(world, app, "ada")
    owner.made("{repo}/issues", {"title": "It rains"})
    owner.made("{repo}/issues/1/comments", {"body": "Not subscribed to."})
    owner.simulator.courier.wait()
    told = {headers["X-GitHub-Event"]: json.loads(body) for headers, body in ear.heard}
    assert told["issues"]["installation"]["id"] == place.id
    assert [row["id"] for row in told["installation"]["repositories"]] == [owner.repo.id]
    assert heard(owner, ear) == [("installation", "created"), ("issues", "opened")]

    signed = jwt.encode({"iat": time.time() - 5, "exp": time.time() + 300, "iss": str(app.id)}, app.pem, "RS256")
    as_app = {"headers": {"Authorization": f"Bearer {signed}"}}
    token = owner.ask("POST", f"/app/installations/{place.id}/access_tokens", {}, **as_app).json()["token"]
    run = {"name": "ci", "head_sha": owner.repo.bare.heads()["main"], "conclusion": "failure"}
    owner.made("{repo}/check-runs", run, world.tokens[token])
    assert heard(owner, ear) == [("check_run", "completed"), ("check_run", "created")]
    assert owner.ask("GET", "/app/hook/config", **as_app).json()["url"] == ear.url
    rows = owner.ask("GET", "/app/hook/deliveries", **as_app).json()
    assert [row["event"] for row in rows].count("check_run") == 2
    assert owner.ask("POST", f"/app/hook/deliveries/{rows[-1]['id']}/attempts", **as_app).status_code == 202
    assert heard(owner, ear) == [("ping", None)]
    for method in ("PUT", "DELETE"):
        owner.ask(method, f"/app/installations/{place.id}/suspended", **as_app)
    owner.ask("DELETE", f"/app/installations/{place.id}", **as_app)
    assert heard(owner, ear) == [("installation", action) for action in ("deleted", "suspend", "unsuspend")]
    assert owner.ask("GET", "/app/hook/deliveries").status_code == 401
