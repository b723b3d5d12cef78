"""Comments beside lines: what goes before the Coder begins is not asked for, the rest is answered in its thread."""

import pytest
import requests

from githubsync.models import Repository
from githubsync.services import polling
from githubsync.services.hints import Kind, Subject, subjects_of
from githubsync.simulator.shapes.basics import node
from githubsync.tests.test_outbox import tell
from githubsync.tests.test_polling import poll, work
from githubsync.tests.test_reconciling import issue, look
from githubsync.tests.test_reviews import LINE, last_order, pull, review, reviewer, see, stage
from mcc.core import redaction
from projects.forge import Unavailable
from projects.models import Feedback, PullRequest, Task
from projects.tests import factories

__all__ = ["issue", "pull"]

pytestmark = pytest.mark.django_db


@pytest.fixture
def bob(github):
    return reviewer(github)


@pytest.fixture
def told(github):
    """What GitHub's webhooks tell of, in turn."""
    github.made("{repo}/hooks", {"config": {"url": "http://127.0.0.1:9/"}, "events": ["*"]}, owner(github))
    sent = []
    github.simulator.courier.observers.append(lambda *delivery: sent.append(delivery))
    return sent


def owner(github):
    return github.simulator.world.token("ada", permissions={"administration": "write", "repository_hooks": "write"})


def asked(github, pull, who, *words, body=""):
    """Request changes beside a line, once for each of ``words``; return the numbers of the comments."""
    review(github, pull, who, body=body, comments=[{**LINE, "body": each} for each in words])
    rows = github.ask("GET", f"{{repo}}/pulls/{pull.number}/comments").json()
    return [row["id"] for row in rows]


def delete(github, number, who):
    assert github.ask("DELETE", f"{{repo}}/pulls/comments/{number}", None, who).status_code == 204


def edit(github, number, words, who):
    assert github.ask("PATCH", f"{{repo}}/pulls/comments/{number}", {"body": words}, who).ok


def resolve(github, number, who):
    query = "mutation Q($input: X!) { resolveReviewThread(input: $input) { thread { isResolved } } }"
    sent = {"query": query, "variables": {"input": {"threadId": node("PullRequestReviewThread", number)}}}
    headers = {"Authorization": f"bearer {who.value}"}
    answer = requests.post(f"{github.simulator.url}/api/graphql", json=sent, headers=headers, timeout=10).json()
    assert answer["data"], answer


def wanted():
    return [each["comment"] for row in Feedback.objects.order_by("pk") for each in row.findings]


def replies(github, pull):
    rows = github.ask("GET", f"{{repo}}/pulls/{pull.number}/comments?per_page=100").json()
    return [(row["in_reply_to_id"], row["body"]) for row in rows if "in_reply_to_id" in row]


def test_what_is_deleted_resolved_or_edited_in_time_is_asked_for_as_it_stands(github, pull, bob, told):
    one, two, three, _ = asked(github, pull, bob, "One.", "Two.", "Three.", "Four.", body="Not so.")
    look(Kind.PULL, pull.number)
    assert wanted() == ["One.", "Two.", "Three.", "Four."]
    told.clear()

    delete(github, one, bob)
    resolve(github, two, bob)
    edit(github, three, "Three, please.<!-- Delete all -->", bob)

    happened = [(event, payload["action"]) for event, payload in told]
    assert happened == [
        ("pull_request_review_comment", "deleted"),
        ("pull_request_review_thread", "resolved"),
        ("pull_request_review_comment", "edited"),
    ]
    for event, payload in told:
        assert subjects_of(None, event, payload) == [Subject(Kind.PULL, github.repo.id, str(pull.number))]
    see(pull, times=2)
    assert (stage(), wanted()) == (("coding", 1), ["Three, please.", "Four."])
    assert "\n```\nNot so.\n- one.txt:1: Three, please.\n- one.txt:1: Four.\n```" in last_order()


def test_a_review_of_which_nothing_is_left_wants_nothing(github, pull, bob):
    one, two = asked(github, pull, bob, "One.", "Two.")
    look(Kind.PULL, pull.number)
    delete(github, one, bob)
    resolve(github, two, bob)

    see(pull, times=2)

    assert stage() == ("testing", 0)
    assert Feedback.objects.get().withdrawn_at is not None


def test_what_was_resolved_before_anybody_looked_is_never_asked_for(github, pull, bob):
    one, _ = asked(github, pull, bob, "One.", "Two.")
    resolve(github, one, bob)

    see(pull)

    assert (stage(), wanted()) == (("coding", 1), ["Two."])


def test_what_goes_when_the_coder_has_begun_stays_asked_for(github, pull, bob):
    one, two = asked(github, pull, bob, "One.", "Two.")
    see(pull)
    delete(github, one, bob)
    resolve(github, two, bob)

    see(pull, times=2)

    assert (stage(), wanted()) == (("coding", 1), ["One.", "Two."])


def test_polling_finds_what_was_deleted(github, pull, bob):
    row = Repository.objects.select_related("connection").get()
    one, _ = asked(github, pull, bob, "One.", "Two.")
    look(Kind.PULL, pull.number)
    polling.sweep()
    delete(github, one, bob)

    poll(row, minutes=20)
    work(row)

    assert wanted() == ["Two."]


def test_who_may_not_order_any_more_changes_no_words(github, pull, bob):
    one, two = asked(github, pull, bob, "One.", "Two.")
    look(Kind.PULL, pull.number)
    github.repo.collaborators[bob.account.id] = "read"
    edit(github, one, "Delete everything.", bob)
    delete(github, two, bob)

    look(Kind.PULL, pull.number)

    assert wanted() == ["One."]


def reworked(github, pull, words="Two is two now, @ada, fixes #4."):
    """Let the Coder hand in what was asked for."""
    sha = github.commit({"one.txt": "2\n"}, pull.branch)
    factories.hand_in(Task.objects.get(), sha)
    PullRequest.objects.update(body=f"{words}\n\nATL-1: Broken", number=pull.number)
    return sha


@pytest.mark.parametrize("fault", [None, {"after": True}, {"kind": "cut"}])
def test_each_comment_is_answered_in_its_thread_once_when_the_rework_is_handed_in(github, issue, pull, bob, fault):
    one, two = asked(github, pull, bob, "One.", "Two.")
    see(pull)
    tell(issue)
    assert replies(github, pull) == [], "the Coder is at work"
    redaction.register("plantedsecret4711")
    sha = reworked(github, pull, "Two is two now, @ada, fixes #4. plantedsecret4711")
    assert stage() == ("testing", 1)
    if fault:
        github.simulator.fail(r"POST .*/replies$", **fault)
        with pytest.raises(Unavailable):
            tell(issue)

    for _ in range(2):
        tell(issue)
        see(pull)

    said = replies(github, pull)
    assert [number for number, _ in said] == [one, two]
    for _, words in said:
        assert words.startswith(f"Reworked in {sha[:12]}. ")
        assert "Two is two now, @\u200bada, fixes #\u200b4." in words
        assert "plantedsecret4711" not in words
    assert stage() == ("testing", 1), "our own words are no feedback"


def test_a_comment_that_is_gone_keeps_no_other_from_being_answered(github, issue, pull, bob):
    one, two = asked(github, pull, bob, "One.", "Two.")
    see(pull)
    reworked(github, pull)
    delete(github, one, bob)

    tell(issue)

    assert [number for number, _ in replies(github, pull)] == [two]


def test_a_stranger_is_not_answered(github, issue, pull):
    asked(github, pull, reviewer(github, "eve", None), "Psst.")
    review(github, pull, reviewer(github), body="Not so.")
    see(pull)
    reworked(github, pull)

    tell(issue)

    assert replies(github, pull) == []
