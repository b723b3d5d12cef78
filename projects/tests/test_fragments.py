"""What open pages are sent: the row as it is now, in elements with the ids that the page has."""

import re

import pytest

from agents.models import Role, Run
from agents.services import runs
from mcc.core import live
from mcc.core.live import registry
from mcc.core.live.envelopes import envelope
from mcc.core.models import Event
from projects import fragments
from projects.models import Vote
from projects.services import news, requests
from projects.tests import factories, talk

pytestmark = pytest.mark.django_db


@pytest.fixture
def issue():
    return factories.planned()


@pytest.fixture
def run(issue):
    return talk.run_on(issue, issue.tasks.get())


def sent(on, kind: str, **data) -> str:
    """Return the fragments of an event on the stream of an issue."""
    live.publish(on.stream, kind, data)
    event = Event.objects.select_related("stream").latest("pk")
    return registry.renderer_of(kind)(event)


def targets(content: str) -> list[tuple[str, str]]:
    return re.findall(r'hx-target="([^"]+)" hx-swap="(\w+)"', content)


def test_an_answer_takes_its_place_and_ends_what_was_streamed(issue, run):
    answered = talk.answer(run, "I am **done**.")
    content = sent(issue, "message", message=answered.pk, run=run.pk, step=0)
    assert targets(content)[:2] == [(f"#run-{run.pk}-steps", "upsert"), (f"#run-{run.pk}-live", "innerHTML")]
    assert f'id="message-{answered.pk}"' in content
    assert "I am <strong>done</strong>." in content


def test_a_result_draws_the_step_that_called_again(issue, run):
    answered = talk.answer(run, "", ("run", {"command": "make"}))
    returned = talk.result(answered, "ok then", detail={"exit_code": 0, "ending": "exited"})
    content = sent(issue, "message", message=returned.pk, run=run.pk, step=0)
    assert targets(content) == [(f"#run-{run.pk}-steps", "upsert")], "what the next step streams stays"
    assert f'id="message-{answered.pk}"' in content
    assert "ok then" in content


def test_what_a_person_says_joins_the_run(issue, run):
    said = runs.say(run.conversation, "Faster!", user=factories.user())
    content = sent(issue, "message", message=said.pk, run=run.pk, step=None)
    assert targets(content) == [(f"#run-{run.pk}-steps", "upsert")]
    assert "Faster!" in content


def test_a_growing_answer_is_sent_in_blocks_that_replace_each_other(issue, run):
    content = sent(issue, "delta", run=run.pk, step=3, blocks=[[0, "One <b>.", False], [1, "Two", True]])
    assert targets(content) == [(f"#run-{run.pk}-live", "upsert")]
    assert re.findall(r'id="(delta-[\d-]+)"', content) == [f"delta-{run.pk}-3-0", f"delta-{run.pk}-3-1"]
    assert "One &lt;b&gt;." in content


def test_a_run_that_begins_is_added_and_one_that_ends_stops_working(issue, run):
    content = sent(issue, "run", run=run.pk)
    assert ("#log", "insert") in targets(content)
    assert ("#working", "upsert") in targets(content)
    factories.finish(run, "stuck", "the same call five times")
    content = sent(issue, "run", run=run.pk)
    assert (f"#doing-{run.pk}", "delete") in targets(content)
    assert "the same call five times" in content


def test_what_an_agent_does_now_is_a_line(issue, run):
    content = sent(issue, "doing", run=run.pk, text="pytest -q <x>")
    assert targets(content) == [("#working", "upsert")]
    assert "pytest -q &lt;x&gt;" in content
    factories.finish(run, "submitted")
    assert sent(issue, "doing", run=run.pk, text="late") == ""


def test_a_question_comes_as_a_stub_that_each_reader_fetches(issue):
    asked = requests.open("question", issue, key="k", question="Secret?", options=[requests.Option("a", "A")])
    content = sent(issue, "request", request=asked.pk, issue=issue.pk)
    assert f'hx-get="/requests/{asked.pk}/"' in content
    assert "Secret?" not in content, "who may answer is asked when it is fetched"
    assert ("#log", "insert") in targets(content)


def test_evidence_and_state_follow_checks_votes_and_moves(issue, run):
    task = issue.tasks.get()
    pull = factories.pull(task)
    pull.checks.create(name="tests", command="pytest", sha=pull.head_sha, status="running")
    facts = {"issue": issue.pk, "task": task.pk}
    content = sent(issue, "check", check=1, **facts)
    assert (f"#proof-{pull.pk}", "outerMorph") in targets(content)
    assert f"#files-{pull.pk}" not in content
    assert (f"#files-{pull.pk}", "outerHTML") in targets(sent(issue, "pull", pull=pull.pk, **facts))
    agent = issue.project.team.filter(role=Role.TESTER).get()
    Vote.objects.create(pull_request=pull, kind="tester", verdict="reject", head_sha=pull.head_sha, agent=agent)
    assert "fails it" in sent(issue, "vote", vote=1, **facts)
    assert (f"#actions-{issue.pk}", "outerHTML") in targets(sent(issue, "issue", issue=issue.pk))


def test_stages_rail_and_counts_are_the_state_of_the_stream(issue, run):
    factories.pull(issue.tasks.get())
    content = registry.state_of(issue.stream)
    drawn = [f"#stages-{issue.pk}", f"#stage-{issue.pk}", f"#rail-{issue.pk}"]
    assert [target for target, _ in targets(content)] == [*drawn, "#count-changes", "#count-checks", "#count-cost"]
    assert all(registry.changes_state(issue.stream, kind) for kind in fragments.MOVING)
    assert not registry.changes_state(issue.stream, "delta")
    assert registry.state_of("company") == "", "pages of the company fetch what is theirs"


def test_no_fragment_holds_a_form_or_a_token(issue, run):
    """They go to everybody on the stream, whoever may decide."""
    asked = requests.open("question", issue, key="k", question="?", options=[requests.Option("a", "A")])
    task = issue.tasks.get()
    factories.pull(task)
    answered = talk.answer(run, "Hm.", ("view", {"path": "a"}))
    facts = {"issue": issue.pk, "task": task.pk, "run": run.pk, "request": asked.pk, "message": answered.pk}
    events = ("message", "run", "issue", "pull", "check", "vote", "request", "doing")
    drawn = [sent(issue, kind, step=0, text="x", **facts) for kind in events]
    for content in (*drawn, registry.state_of(issue.stream)):
        assert content
        assert "<form" not in content
        assert "csrf" not in content


def test_streams_of_project_and_company_carry_keys_only(issue, run, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        news.issue_changed(issue)
    others = Event.objects.exclude(stream__name=issue.stream).select_related("stream")
    assert {event.stream.name for event in others} >= {"company", f"project:{issue.project_id}"}
    assert all('"content"' not in envelope(event) for event in others)


def test_every_id_that_a_fragment_aims_at_is_on_the_page(issue, run, client):
    client.force_login(factories.user(is_superuser=True))
    task = issue.tasks.get()
    pull = factories.pull(task)
    pages = client.get(f"/issues/{issue.key}/").content.decode()
    pages += client.get(f"/projects/{issue.project.key}/pull-requests/{pull.number}/").content.decode()
    answered = talk.answer(run, "Hm.")
    facts = {"issue": issue.pk, "task": task.pk, "run": run.pk, "message": answered.pk, "request": 0}
    facts |= {"step": 0, "text": "x", "blocks": [[0, "x", True]]}
    aimed = {target for target, _ in targets(registry.state_of(issue.stream))}
    for kind in ("message", "delta", "doing", "run", "issue", "pull", "check"):
        aimed |= {target for target, _ in targets(sent(issue, kind, **facts))}
    assert [target for target in sorted(aimed) if f'id="{target[1:]}"' not in pages] == []
    assert Run.objects.get().is_open
