"""The pages of one issue: who sees them, what they show, what they cost."""

from html.parser import HTMLParser

import pytest
from django.urls import reverse

from agents.models import Artifact, Purpose, Role, Run
from agents.services import runs
from mcc.core.live.envelopes import envelope
from mcc.core.models import Event
from projects.models import Check, Issue, Vote
from projects.services import issues, pausing, requests
from projects.tests import factories, talk
from projects.views.issue import TABS

HOSTILE = '<script>alert(1)</script> <a href="javascript:x" hx-get="/stop/">go</a> <img src=x onerror=y>'


@pytest.fixture
def issue(project) -> Issue:
    row = factories.planned(project, title="Count the stars", body="All of *them*.")
    task = row.tasks.get()
    run = talk.run_on(row, task)
    answered = talk.answer(run, "I look **first**.", ("run", {"command": "make test"}), ("view", {"path": "a.py"}))
    talk.result(answered, "all green", detail={"exit_code": 0, "ending": "exited"})
    return row


def path(issue: Issue, tab: str = "") -> str:
    return f"/issues/{issue.key}/{tab}/" if tab else f"/issues/{issue.key}/"


@pytest.mark.parametrize("tab", sorted(TABS))
def test_members_see_every_tab_and_strangers_none(issue, people, browse, tab):
    assert browse(people.viewer).get(path(issue, tab)).status_code == 200
    assert browse(people.stranger).get(path(issue, tab)).status_code == 404


@pytest.mark.parametrize("key", ["P0-1", "X", "X-", "-1", "X-²", "X-99999999999999999999"])
def test_what_is_no_issue_is_not_found(people, browse, key):
    assert browse(people.owner).get(f"/issues/{key}/").status_code == 404


def test_an_unknown_tab_is_not_found_and_a_visitor_is_sent_to_log_in(issue, people, client, browse):
    assert client.get(path(issue)).status_code == 302
    assert browse(people.owner).get(path(issue, "secrets")).status_code == 404


def test_the_conversation_shows_words_calls_and_their_cost(issue, people, browse):
    html = browse(people.viewer).get(path(issue)).content.decode()
    assert "All of <em>them</em>." in html
    assert "I look <strong>first</strong>." in html
    assert "make test" in html
    assert "exit 0" in html
    assert "all green" in html
    assert html.count("running</span>") == 1, "the call without a result"
    assert f"/ws/?s=issue:{issue.pk}@" in html.replace("&amp;", "&")


def test_hostile_text_stays_text_wherever_it_comes_from(project, people, browse):
    row = factories.planned(project, title=HOSTILE[:150], body=HOSTILE)
    run = talk.run_on(row, row.tasks.get())
    answered = talk.answer(run, HOSTILE, ("run", {"command": HOSTILE}), ("message", {"to": HOSTILE, "text": HOSTILE}))
    talk.result(answered, HOSTILE)
    talk.result(answered, HOSTILE, call=1)
    options = [requests.Option(HOSTILE, HOSTILE)]
    requests.open("question", row, key="k", question=HOSTILE, detail=HOSTILE, options=options, agent=run.agent)
    runs.say(run.conversation, HOSTILE, agent=run.agent)
    for tab in TABS:
        found = Elements(browse(people.owner).get(path(row, tab)).content.decode())
        assert "img" not in found.tags
        assert found.scripts_inside == 0
        assert not {"onerror", "style"} & found.attributes
        assert not [link for link in found.links if link.startswith("javascript")]
        assert "/stop/" not in found.fetched


class Elements(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.scripts_inside = 0
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.add(tag)
        self.attributes |= set(given)
        self.links.append(given.get("href") or "")
        self.fetched.append(given.get("hx-get") or "")
        self.scripts_inside += tag == "script" and not given.get("src")


def test_a_run_that_is_over_shows_how_it_ended_and_what_people_said(issue, people, browse):
    run = Run.objects.get()
    talk.answer(run, "In between.", ("view", {"path": "b.py"}))
    runs.say(run.conversation, "Mind the comets.", user=people.owner)
    last = talk.answer(run, "", ("submit_work", {"summary": "All **counted**."}))
    talk.result(last, "Handed in as #1.", detail={"pull": 1, "added": 7, "removed": 2})
    factories.finish(run, "submitted")

    html = browse(people.viewer).get(path(issue)).content.decode()

    assert "All <strong>counted</strong>." in html
    assert "Mind the comets." in html
    assert "2 steps, 2 tool calls" in " ".join(html.split()), "of three calls one never returned"
    assert "In between." not in html
    whole = browse(people.viewer).get(f"/runs/{run.pk}/").content.decode()
    assert "In between." in whole
    assert "I look <strong>first</strong>." in whole
    assert browse(people.stranger).get(f"/runs/{run.pk}/").status_code == 404


def test_an_answer_to_a_person_is_part_of_the_conversation(issue, people, browse):
    run = Run.objects.get()
    factories.finish(run, "submitted")
    runs.say(run.conversation, "How many are there?", user=people.owner)
    chat = run.conversation.runs.get(purpose=Purpose.CHAT)
    talk.answer(chat, "A hundred billion.")
    factories.finish(chat, "submitted")

    html = browse(people.viewer).get(path(issue)).content.decode()

    assert "How many are there?" in html
    assert "A hundred billion." in html


@pytest.mark.parametrize("tab", sorted(TABS))
def test_a_tab_costs_the_same_for_one_task_and_for_three(project, people, browse, tab, django_assert_max_num_queries):
    def busy(*keys: str) -> Issue:
        row = factories.planned(project, *({"key": key} for key in keys))
        for task in row.tasks.all():
            run = talk.run_on(row, task)
            talk.result(talk.answer(run, "Hm.", ("view", {"path": "a.py"})))
            pull = factories.pull(task)
            pull.checks.create(name="tests", command="pytest", sha=pull.head_sha, status="passed")
            voter = project.team.filter(role=Role.TESTER).get()
            Vote.objects.create(
                pull_request=pull, kind="tester", verdict="approve", head_sha=pull.head_sha, agent=voter
            )
            requests.open("question", row, key=f"q{task.pk}", question="?", options=[requests.Option("a", "A")])
        return row

    one, three = busy("a"), busy("b", "c", "d")
    client = browse(people.owner)
    with django_assert_max_num_queries(60) as first:
        client.get(path(one, tab))
    with django_assert_max_num_queries(len(first)):
        client.get(path(three, tab))


def test_the_stages_tell_how_long_each_took(issue, people, browse):
    html = " ".join(browse(people.viewer).get(path(issue)).content.decode().split())
    assert '<li class="now" aria-current="step"><span>Implementation' in html
    assert '<li class="done"><span>New' in html


def test_who_decides_starts_and_cancels_and_a_viewer_does_not(project, people, browse):
    row = factories.issue(project, start=False)
    assert "Start</button>" in browse(people.owner).get(path(row)).content.decode()
    assert "Start</button>" not in browse(people.viewer).get(path(row)).content.decode()
    assert browse(people.viewer).post(path(row, "start")).status_code == 403
    assert browse(people.stranger).post(path(row, "start")).status_code == 404

    assert browse(people.owner).post(path(row, "start")).status_code == 302
    row.refresh_from_db()
    assert row.started_at is not None

    assert browse(people.viewer).post(path(row, "cancel")).status_code == 403
    assert browse(people.viewer).get(path(row, "cancel")).status_code == 403
    assert "This cannot be undone." in browse(people.owner).get(path(row, "cancel")).content.decode()
    row.refresh_from_db()
    assert row.is_open, "asking cancels nothing"
    assert browse(people.owner).post(path(row, "cancel"), {"reason": "changed my mind"}).status_code == 302
    row.refresh_from_db()
    assert row.status == "cancelled"
    assert "changed my mind" in browse(people.viewer).get(path(row, "timeline")).content.decode()
    assert browse(people.owner).post(path(row, "cancel")).status_code == 409


def test_what_one_may_do_follows_the_issue_and_the_reader(issue, people, browse):
    actions = path(issue, "actions")
    assert "Pause" in browse(people.owner).get(actions).content.decode()
    assert "<button" not in browse(people.viewer).get(actions).content.decode()
    assert browse(people.stranger).get(actions).status_code == 404
    issues.cancel(issue, user=people.owner)
    assert "Pause" not in browse(people.owner).get(actions).content.decode()


@pytest.mark.parametrize("level", ["issue", "project"])
def test_pages_hear_at_once_that_the_issue_was_paused(issue, people, browse, level, django_capture_on_commit_callbacks):
    subject = issue if level == "issue" else issue.project
    with django_capture_on_commit_callbacks(execute=True):
        pausing.stop(pausing.Scope(subject), user=people.owner, reason="too <dear>")
    event = Event.objects.filter(stream__name=issue.stream).select_related("stream").latest("pk")
    assert f'id="paused-{issue.pk}"' in envelope(event).replace("\\", "")
    assert "is paused" in envelope(event)
    assert "is paused" in browse(people.viewer).get(path(issue)).content.decode()


def test_people_say_something_and_the_agent_hears_it(issue, people, browse):
    run = Run.objects.get()
    answer = browse(people.owner).post(path(issue, "say"), {"text": "Faster, please."}, headers={"HX-Request": "true"})
    assert answer.status_code == 204
    said = run.conversation.messages.last()
    assert (said.content, said.user, said.run) == ("Faster, please.", people.owner, run)
    assert browse(people.viewer).post(path(issue, "say"), {"text": "Me too."}).status_code == 403
    assert browse(people.owner).post(path(issue, "say"), {"text": "  "}).status_code == 422
    assert browse(people.owner).post(path(issue, "say"), {"text": "Hello.", "to": "nobody"}).status_code >= 400
    assert run.conversation.messages.last() == said


def test_the_whole_output_of_a_tool_is_plain_text(issue, people, browse):
    run = Run.objects.get()
    artifact = Artifact.objects.create(content="<b>all</b>", size_bytes=10)
    message = talk.result(talk.answer(run, "", ("run", {"command": "yes"})), "cut", artifact=artifact)
    url = reverse("projects:output", args=[message.pk])

    answer = browse(people.viewer).get(url)

    assert answer.content == b"<b>all</b>"
    assert answer["Content-Type"].startswith("text/plain")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert browse(people.stranger).get(url).status_code == 404


def test_checks_show_the_end_of_their_log_and_the_rest_on_demand(issue, people, browse):
    pull = factories.pull(issue.tasks.get())
    log = "beginning\n" + "x" * 5_000 + "\nE: it broke <b>"
    check = Check.objects.create(
        pull_request=pull, name="tests", command="pytest", sha=pull.head_sha, status="failed", exit_code=1, log=log
    )
    html = browse(people.viewer).get(path(issue, "checks")).content.decode()
    assert "E: it broke &lt;b&gt;" in html
    assert "beginning" not in html
    url = reverse("projects:check_log", args=[check.pk])
    assert browse(people.viewer).get(url).content.decode() == log
    assert browse(people.stranger).get(url).status_code == 404
