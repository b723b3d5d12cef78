"""That a run did not get on, and what was done about it: on pages, live, and over REST; and in a real workspace."""

import pytest
from django.test import Client

from agents.models import Run, Rung
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
    """A run that was told, and then started afresh; it goes on."""
    run = talk.run_on(issue, issue.tasks.get())
    for text, noticed, count, done in (
        ("First I look.", Rung.Noticed.SAME_CALL, 3, Rung.Done.TOLD),
        ("Then I look again.", Rung.Noticed.ALTERNATION, 6, Rung.Done.FRESH_CONTEXT),
    ):
        result = talk.result(talk.answer(run, text, ("view", {"path": "a.py"})), "ROADS = 1")
        run.rungs.create(step=0, heard=result.pk, noticed=noticed, count=count, done=done)
    talk.answer(run, "Now I know.")
    return run


@pytest.fixture
def reader(client) -> Client:
    client.force_login(factories.user(is_superuser=True))
    return client


def test_pages_show_what_was_noticed_and_done_where_it_happened_and_count_it(reader, run, issue):
    for address in (f"/runs/{run.pk}/", f"/issues/{issue.key}/"):
        page = reader.get(address).content.decode()
        told = "the same call with the same result 3 times. The model was told."
        afresh = "the same steps in turn, 6 steps long. It starts afresh, from the order and its own notes."
        order = [page.index(text) for text in ("First I look.", told, "Then I look again.", afresh, "Now I know.")]
        assert order == sorted(order)
        assert "Did not get on 2 times: told 1×, started afresh 1×" in page


def test_a_run_that_gets_on_says_nothing_of_it(reader, issue):
    run = talk.run_on(issue, issue.tasks.get())
    assert "get on" not in reader.get(f"/runs/{run.pk}/").content.decode()


def test_a_rung_is_pushed_with_the_count_by_then(run, issue):
    live.publish(issue.stream, "rung", {"rung": run.rungs.latest("pk").pk, "run": run.pk})

    content = registry.renderer_of("rung")(Event.objects.select_related("stream").latest("pk"))

    assert f'hx-target="#run-{run.pk}-steps" hx-swap="upsert"' in content
    assert f'hx-target="#run-{run.pk}-rungs" hx-swap="outerMorph"' in content
    assert "Did not get on 2 times" in content


def test_rest_tells_of_every_rung(reader, run):
    first, second = reader.get(f"/api/v1/runs/{run.pk}/").json()["rungs"]

    assert {name: first[name] for name in ("step", "noticed", "count", "done")} == {
        "step": 0, "noticed": "same_call", "count": 3, "done": "told",
    }  # fmt: skip
    assert (second["noticed"], second["done"]) == ("alternation", "fresh_context")
    assert second["what"] == "the same steps in turn, 6 steps long"


def test_a_stranger_sees_no_rung(client, run):
    client.force_login(factories.user())
    assert client.get(f"/runs/{run.pk}/").status_code == 404
    assert client.get(f"/api/v1/runs/{run.pk}/").status_code == 404
