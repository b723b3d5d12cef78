"""Answering a question in the browser, with htmx and without JavaScript."""

import pytest

from projects.models import Request
from projects.services import requests
from projects.services.requests import Option
from projects.tests import factories

HTMX = {"HX-Request": "true"}


@pytest.fixture
def asked(project) -> Request:
    options = [Option("approve", "Approve the plan"), Option("revise", "Ask for changes", wants_text=True)]
    return requests.open("plan", factories.issue(project), key="plan:1", question="Is it right?", options=options)


def url(asked: Request) -> str:
    return f"/requests/{asked.pk}/"


def test_a_decider_answers_in_place(asked, people, browse):
    card = browse(people.owner).get(url(asked), headers=HTMX).content.decode()
    assert f'id="request-{asked.pk}"' in card
    assert "Approve the plan</button>" in card

    card = browse(people.owner).post(url(asked), {"choice": "approve"}, headers=HTMX)

    assert card.status_code == 200
    assert "Approve the plan</button>" not in card.content.decode()
    asked.refresh_from_db()
    assert (asked.answer, asked.answered_by) == ("approve", people.owner)


def test_without_javascript_one_is_sent_back_to_where_it_was_asked(asked, people, browse):
    client = browse(people.owner)
    assert client.get(url(asked)).url == f"/issues/{asked.issue.key}/#request-{asked.pk}"
    assert client.post(url(asked), {"choice": "approve", "next": "/inbox/"}).url == "/inbox/"


def test_nobody_is_sent_to_another_site(asked, people, browse):
    answer = browse(people.owner).post(url(asked), {"choice": "approve", "next": "https://example.org/"})
    assert answer.url == f"/issues/{asked.issue.key}/#request-{asked.pk}"


@pytest.mark.parametrize("headers", [HTMX, {}])
def test_a_refused_answer_says_why_and_loses_no_word(asked, people, browse, headers):
    client = browse(people.owner)
    refused = client.post(url(asked), {"choice": "revise", "text": "  "}, headers=headers)
    assert refused.status_code == 422
    assert "Say what you mean." in refused.content.decode()
    refused = client.post(url(asked), {"choice": "eat", "text": "my long words"}, headers=headers)
    assert refused.status_code == 422
    assert "my long words" in refused.content.decode()
    asked.refresh_from_db()
    assert asked.is_open


def test_whoever_comes_second_is_told_so(asked, people, browse):
    requests.answer(asked, user=people.owner, choice="approve")
    answer = browse(people.owner).post(url(asked), {"choice": "revise", "text": "No."}, headers=HTMX)
    assert answer.status_code == 409
    asked.refresh_from_db()
    assert asked.answer == "approve"


def test_a_viewer_sees_the_question_and_a_stranger_does_not(asked, people, browse):
    card = browse(people.viewer).get(url(asked), headers=HTMX).content.decode()
    assert "Is it right?" in card
    assert "<button" not in card
    assert browse(people.viewer).post(url(asked), {"choice": "approve"}, headers=HTMX).status_code == 403
    assert browse(people.stranger).get(url(asked), headers=HTMX).status_code == 404
    assert browse(people.stranger).post(url(asked), {"choice": "approve"}).status_code == 404
    asked.refresh_from_db()
    assert asked.is_open


def test_the_inbox_shows_what_a_plan_would_do(project, people, browse):
    row = factories.planned(project, {"key": "one", "title": "Draw the map"}, {"key": "two", "title": "Sail"})
    requests.open("plan", row, key="plan:2", question="Is it right?", options=[Option("approve", "Approve the plan")])
    html = browse(people.owner).get("/inbox/").content.decode()
    assert html.index("Draw the map") < html.index("Sail") < html.index("Approve the plan</button>")
