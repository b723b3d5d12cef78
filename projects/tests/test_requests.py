import pytest

from mcc.core.errors import InvalidInput, NotAllowed
from mcc.core.models import AuditEntry
from projects.errors import RequestClosed
from projects.models import Issue, Membership, Request
from projects.services import requests
from projects.services.requests import Option
from projects.signals import request_answered, request_opened
from projects.tests import factories

pytestmark = pytest.mark.django_db

OPTIONS = [Option("tea", "Tea"), Option(Request.OTHER, "Other", wants_text=True)]


@pytest.fixture
def owner():
    return factories.user()


@pytest.fixture
def issue(owner):
    return factories.issue(factories.project(owner=owner))


def ask(issue: Issue, kind=Request.Kind.QUESTION, key="ask:1", **fields) -> Request:
    return requests.open(kind, issue, key=key, question="Tea or coffee?", options=OPTIONS, **fields)


def test_a_question_is_asked_once(issue):
    assert ask(issue) == ask(issue)
    assert Request.objects.count() == 1


def test_an_answer_is_written_down_with_who_gave_it(issue, owner):
    request = requests.answer(ask(issue), user=owner, choice="tea")

    assert (request.answer, request.answered_by, request.is_open) == ("tea", owner, False)
    assert request.answer_in_words == "Tea"
    entry = AuditEntry.objects.get(action="projects.answer_question")
    assert (entry.user, entry.subject) == (owner, f"projects.request:{request.pk}")


def test_own_words_stand_for_themselves(issue, owner):
    request = requests.answer(ask(issue), user=owner, choice=Request.OTHER, text=" Water. ")
    assert request.answer_in_words == "Water."


def test_the_second_answer_is_refused(issue, owner):
    request = ask(issue)
    requests.answer(request, user=owner, choice="tea")
    with pytest.raises(RequestClosed):
        requests.answer(request, user=owner, choice="tea")


def test_a_void_question_takes_no_answer(issue, owner):
    request = ask(issue)
    requests.withdraw(Request.objects.all())
    with pytest.raises(RequestClosed):
        requests.answer(request, user=owner, choice="tea")


@pytest.mark.parametrize(("choice", "text", "field"), [("coffee", "", "choice"), (Request.OTHER, "  ", "text")])
def test_an_answer_must_be_one_of_those_offered_and_say_something(issue, owner, choice, text, field):
    with pytest.raises(InvalidInput) as refusal:
        requests.answer(ask(issue), user=owner, choice=choice, text=text)
    assert list(refusal.value.fields) == [field]


@pytest.mark.parametrize("text", ["much", "0", "-5", "$"])
def test_an_amount_of_money_must_be_one(issue, owner, text):
    request = requests.open(
        Request.Kind.BUDGET, issue, key="b", question="?", options=[Option("raise", "More", amount="1")]
    )
    with pytest.raises(InvalidInput):
        requests.answer(request, user=owner, choice="raise", text=text)


@pytest.mark.parametrize("role", [None, Membership.Role.VIEWER])
def test_who_does_not_decide_may_not_answer(issue, role):
    person = factories.user()
    if role:
        Membership.objects.create(project=issue.project, user=person, role=role)
    with pytest.raises(NotAllowed):
        requests.answer(ask(issue), user=person, choice="tea")


@pytest.mark.parametrize(
    ("kind", "blocks"),
    [("question", True), ("budget", True), ("blocked", True), ("plan", False), ("merge", False)],
)
def test_an_issue_is_blocked_while_a_question_stops_its_work(issue, owner, kind, blocks):
    request = ask(issue, Request.Kind(kind))
    assert Issue.objects.get(pk=issue.pk).blocked == blocks

    requests.withdraw(Request.objects.filter(pk=request.pk))

    assert not Issue.objects.get(pk=issue.pk).blocked


def test_news_of_questions_and_answers_goes_out_after_commit(issue, owner, django_capture_on_commit_callbacks):
    heard = []

    def opened(sender, request, **kwargs):
        heard.append(("opened", request.pk))

    def answered(sender, request, **kwargs):
        heard.append(("answered", request.answer))

    request_opened.connect(opened)
    request_answered.connect(answered)
    with django_capture_on_commit_callbacks(execute=True):
        request = ask(issue)
        requests.answer(request, user=owner, choice="tea")
        assert heard == []

    assert heard == [("opened", request.pk), ("answered", "tea")]
