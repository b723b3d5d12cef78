"""How full the window of a run is, and where it was condensed: on pages, live, and over REST."""

import pytest
from django.test import Client

from agents.models import Condensation, Message, Run
from agents.services import runs
from budgets.models import Usage
from budgets.services import ledger
from budgets.tests import factories as money
from mcc.core import live
from mcc.core.live import registry
from mcc.core.models import Event
from projects.models import Issue
from projects.tests import factories, talk

pytestmark = pytest.mark.django_db


@pytest.fixture
def issue() -> Issue:
    return factories.planned()


@pytest.fixture
def run(issue) -> Run:
    """A run of three steps. The first gave way to notes; the last prompt had 40,000 tokens, 30,000 of them cached."""
    run = talk.run_on(issue, issue.tasks.get())
    first = talk.answer(run, "First I look.", ("view", {"path": "a.py"}))
    gone = talk.result(first, "ROADS = 1")
    runs.say(run.conversation, "In blue, <b>please</b>.", user=factories.user())
    second = talk.answer(run, "Then I change.", ("run", {"command": "make"}))
    Condensation.objects.create(
        conversation=run.conversation, run=run, model=run.model, reason="full", after=0, until=gone.pk,
        heard=second.pk, asked="Write the notes.", notes="I looked at **a.py** <script>", record="- viewed",
        window_tokens=run.model.context_tokens, tokens_before=90_000, notes_are="",
    )  # fmt: skip
    type(run.conversation).objects.filter(pk=run.conversation_id).update(condensed_until=gone.pk, summary="x")
    last = talk.answer(run, "Nearly done.")
    Message.objects.filter(pk=last.pk).update(usage=used(40_000, 30_000))
    return Run.objects.get(pk=run.pk)


def used(input_tokens: int, cached_tokens: int) -> Usage:
    bill = money.make_bill(10, input_tokens=input_tokens, cached_tokens=cached_tokens)
    return ledger.capture(money.make_hold(money.make_account()), bill)


@pytest.fixture
def reader(issue, client) -> Client:
    client.force_login(factories.user(is_superuser=True))
    return client


def test_the_run_page_shows_the_meter_and_notes_with_what_they_replaced(reader, run):
    page = reader.get(f"/runs/{run.pk}/").content.decode()

    window = run.model.context_tokens
    assert f"Window: 40,000 of {window:,} tokens" in page
    assert "75 % of them from the cache" in page
    assert "condensed 1 time, again at" in page
    order = [page.index(text) for text in ("First I look.", "Then I change.", "Write the notes.", "Nearly done.")]
    assert order == sorted(order)
    assert page.count('<p class="tag"') == 1, "only the step that is gone, neither the order nor a person's words"
    assert "ROADS = 1" in page, "what was dropped can still be read"
    assert "I looked at <strong>a.py</strong>" in page
    assert "<script>" not in page.split('id="condensation-')[1].split("</details>")[0]


def test_the_issue_page_shows_the_meter_of_open_runs_alone(reader, run, issue):
    assert f'id="run-{run.pk}-window"' in reader.get(f"/issues/{issue.key}/").content.decode()
    factories.finish(run, "submitted")
    assert f'id="run-{run.pk}-window"' not in reader.get(f"/issues/{issue.key}/").content.decode()


def test_meter_and_notes_are_pushed(run, issue):
    condensation = Condensation.objects.get()
    live.publish(issue.stream, "condensed", {"condensation": condensation.pk, "run": run.pk})
    content = registry.renderer_of("condensed")(Event.objects.select_related("stream").latest("pk"))
    assert f'hx-target="#run-{run.pk}-steps" hx-swap="upsert"' in content
    assert f'id="condensation-{condensation.pk}"' in content
    assert f'hx-target="#run-{run.pk}-window" hx-swap="outerMorph"' in content
    last = Message.objects.filter(role="assistant").latest("pk")
    live.publish(issue.stream, "message", {"message": last.pk, "run": run.pk, "step": 2})
    content = registry.renderer_of("message")(Event.objects.select_related("stream").latest("pk"))
    assert f'hx-target="#run-{run.pk}-window" hx-swap="outerMorph"' in content


def test_rest_tells_how_full_the_window_is(reader, run):
    told = reader.get(f"/api/v1/runs/{run.pk}/").json()["window"]
    window = run.model.context_tokens
    assert told == {
        "prompt_tokens": 40_000,
        "cached_tokens": 30_000,
        "window_tokens": window,
        "condense_at_tokens": int(window * 0.7),
        "condensations": 1,
    }


def test_a_stranger_learns_nothing(run, client):
    client.force_login(factories.user())
    assert client.get(f"/runs/{run.pk}/").status_code == 404
    assert client.get(f"/api/v1/runs/{run.pk}/").status_code == 404
