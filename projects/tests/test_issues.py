import pytest
from django.utils import timezone

from mcc.core.errors import InvalidInput, NotAllowed
from mcc.core.models import AuditEntry, Event
from projects.errors import IllegalTransition
from projects.models import Issue, Knowledge, Membership, Suggestion
from projects.services import issues, knowledge, pausing, suggestions
from projects.services.pausing import Scope
from projects.services.suggestions import AlreadyDecided, NobodyThere
from projects.tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner():
    return factories.user()


@pytest.fixture
def project(owner):
    return factories.project(owner=owner)


def test_issues_of_a_project_are_numbered_and_have_an_account_with_its_limit(project, owner):
    first = issues.create(project, title=" One ", user=owner)
    second = issues.create(project, title="Two", user=owner)

    assert [first.key, second.key] == [f"{project.key}-1", f"{project.key}-2"]
    assert (first.title, first.created_by, first.status) == ("One", owner, "new")
    assert (first.account.kind, first.account.name) == ("issue", first.key)
    limit = first.account.limits.get()
    assert (limit.amount_nanousd, limit.period, limit.action) == (5_000_000_000, "total", "block")
    assert first.transitions.get().actor == owner


@pytest.mark.parametrize(("budget", "limits"), [(0, []), (7, [7])])
def test_an_issue_may_have_its_own_limit_or_none(project, budget, limits):
    issue = issues.create(project, title="One", budget_nanousd=budget)
    assert list(issue.account.limits.values_list("amount_nanousd", flat=True)) == limits


@pytest.mark.parametrize(("title", "body"), [(" ", ""), ("x" * 201, ""), ("x", "y" * 50_001)])
def test_text_of_an_issue_has_bounds(project, title, body):
    with pytest.raises(InvalidInput):
        issues.create(project, title=title, body=body)
    assert not Issue.objects.exists()


def test_only_who_decides_may_file_start_edit_and_cancel(project):
    viewer = factories.user()
    Membership.objects.create(project=project, user=viewer, role=Membership.Role.VIEWER)
    issue = factories.issue(project, start=False)

    for attempt in (
        lambda: issues.create(project, title="x", user=viewer),
        lambda: issues.start(issue, user=viewer),
        lambda: issues.edit(issue, title="x", user=viewer),
        lambda: issues.cancel(issue, user=viewer),
        lambda: pausing.stop(Scope(project), user=viewer),
        lambda: pausing.stop(Scope(issue), user=viewer),
        lambda: pausing.stop(Scope(), user=viewer),
    ):
        with pytest.raises(NotAllowed):
            attempt()


def test_wording_stands_once_the_plan_is_approved(project, owner):
    issue = factories.issue(project)
    assert issues.edit(issue, title="Better", user=owner).title == "Better"
    Issue.objects.filter(pk=issue.pk).update(plan_approved_at=timezone.now())

    with pytest.raises(InvalidInput):
        issues.edit(issue, body="Something else", user=owner)
    assert issues.edit(issue, title="Better", priority=3, user=owner).priority == 3


def test_what_is_over_is_not_cancelled_again(project, owner):
    issue = factories.issue(project)
    issues.cancel(issue, user=owner)
    with pytest.raises(IllegalTransition):
        issues.cancel(issue, user=owner)


def test_pages_of_the_issue_the_project_and_the_company_hear_of_it(project, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        issue = factories.issue(project)

    heard = Event.objects.filter(kind="issue").values_list("stream__name", "data")
    assert sorted(heard) == [
        ("company", {"issue": issue.pk}),
        (f"issue:{issue.pk}", {"issue": issue.pk}),
        (f"project:{project.pk}", {"issue": issue.pk}),
    ]


def test_a_stop_is_a_frozen_account_and_leaves_a_line_in_the_book(project, owner):
    scope = Scope(project)

    pausing.stop(scope, user=owner, reason="too hot")
    project.account.refresh_from_db()
    assert (project.account.is_frozen, project.account.frozen_reason) == (True, "too hot")

    pausing.resume(scope, user=owner)
    project.account.refresh_from_db()
    assert not project.account.is_frozen
    actions = AuditEntry.objects.filter(subject=f"projects.project:{project.pk}").values_list("action", flat=True)
    assert set(actions) == {"projects.stop", "projects.resume"}


def test_recall_finds_what_shares_the_most_words(project):
    agent = project.team.first()
    for number, text in enumerate(["Tests run with make test.", "Tests of the parser are slow.", "Use tabs."]):
        knowledge.remember(project, text, kind=Knowledge.Kind.FACT, key=str(number), agent=agent, issue=None)
    knowledge.remember(project, "Again.", kind=Knowledge.Kind.FACT, key="0", agent=agent, issue=None)

    found = knowledge.recall(project, "how do the parser tests run?")

    assert [row.text for row in found] == ["Tests of the parser are slow.", "Tests run with make test."]
    assert len(knowledge.recall(project, "")) == 3
    assert knowledge.recall(project, "zebra") == []


def test_a_suggestion_becomes_an_issue_or_is_put_away_once(project, owner):
    accepted, declined = (
        Suggestion.objects.create(project=project, title=title, rationale="It hurts.", key=title) for title in "ab"
    )

    issue = suggestions.accept(accepted, user=owner)
    suggestions.decline(declined, user=owner)

    assert (issue.title, issue.body, issue.suggestion) == ("a", "It hurts.", accepted)
    for row in (accepted, declined):
        with pytest.raises(AlreadyDecided):
            suggestions.accept(row, user=owner)


def test_a_report_needs_an_orchestrator(project, owner):
    with pytest.raises(NobodyThere):
        suggestions.ask_for_report(project, user=owner)

    project.team.add(factories.agent("orchestrator"))
    run = suggestions.ask_for_report(project, user=owner)

    assert (run.workplace, run.stream) == (f"project:{project.pk}", f"project:{project.pk}")
    assert list(run.accounts.all()) == [project.account]
    assert (run.purpose, suggestions.ask_for_suggestions(project).purpose) == ("standup", "suggest")
