"""A stop from a person's hand: what it covers, what becomes of commands, how long it took, and that people end it."""

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from agents.models import Role, Run
from budgets.models import Account, Freeze, Hold
from budgets.services import accounts, ledger
from budgets.tests import factories as books
from mcc.core import errands
from mcc.core.errands import Later
from mcc.core.errors import NotAllowed
from mcc.core.models import AuditEntry, Errand
from mcc.core.money import NANOUSD
from projects import scopes, tasks
from projects.errands import run_checks
from projects.models import Check
from projects.services import pausing, rest, scheduling, staffing
from projects.services.pausing import Sandboxes, Scope
from projects.tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss():
    return factories.user(is_superuser=True)


def running(**fields) -> Run:
    issue = factories.planned(**fields)
    scheduling.advance(issue.pk)
    run = factories.latest(issue.tasks.get()).run
    Run.objects.filter(pk=run.pk).update(status="running", started_at=timezone.now())
    return run


def maintainer_of(project):
    user = factories.user()
    project.memberships.create(user=user, role="maintainer")
    return user


@pytest.mark.parametrize("of", ["company", "agent", "role"])
def test_what_concerns_all_goes_on_by_an_administrator_or_whoever_stopped_it(boss, of):
    project = factories.project()
    agent = project.team.filter(role=Role.CODER)[0]
    scope = Scope({"company": None, "agent": agent, "role": Role.CODER}[of])
    one, other = (maintainer_of(project) for _ in range(2))

    def is_stopped() -> bool:
        return Account.objects.get(pk=scope.account.pk).is_frozen

    pausing.stop(scope, user=one)
    with pytest.raises(NotAllowed, match="whoever stopped"):
        pausing.resume(scope, user=other)
    pausing.resume(scope, user=one)
    assert not is_stopped()

    pausing.stop(scope, user=one)
    pausing.stop(scope, user=boss, reason="the key leaked")
    pausing.stop(scope, user=other, reason="mine")
    freeze = Freeze.objects.get(thawed_at=None)
    assert (freeze.user, freeze.reason) == (boss, "the key leaked")
    for maintainer in (one, other):
        with pytest.raises(NotAllowed, match="administrator"):
            pausing.resume(scope, user=maintainer)
    assert is_stopped()
    pausing.resume(scope, user=boss)
    assert not is_stopped()


def test_a_project_and_an_issue_go_on_by_whoever_decides_there(boss):
    issue = factories.planned()
    maintainer = maintainer_of(issue.project)
    for subject in (issue.project, issue):
        pausing.stop(Scope(subject), user=boss)
        pausing.resume(Scope(subject), user=maintainer)
        assert not Account.objects.get(pk=subject.account_id).is_frozen


def test_who_stopped_when_why_and_how_long_it_took_is_kept(boss):
    run = running()
    issue = run.assignment.issue
    hold = books.make_hold(issue.account, amount=NANOUSD)
    pausing.stop(Scope(), user=boss, reason="fire drill")
    freeze = Freeze.objects.get()
    assert (freeze.user, freeze.reason, freeze.gently) == (boss, "fire drill", False)

    assert not rest.measure(freeze)
    freeze.refresh_from_db()
    assert freeze.streams_ms is None, "a stream is open"

    ledger.lose(hold)
    Hold.objects.filter(pk=hold.pk).update(lost_at=freeze.at + timedelta(milliseconds=400))
    assert not rest.measure(freeze)
    assert (freeze.streams_ms, freeze.commands_ms) == (400, None)

    Run.objects.filter(pk=run.pk).update(status="queued", put_down_at=freeze.at + timedelta(milliseconds=900))
    assert rest.measure(freeze)

    freeze.refresh_from_db()
    assert (freeze.streams_ms, freeze.commands_ms) == (400, 900)
    entry = AuditEntry.objects.get(action="budgets.at_rest")
    assert (entry.user, entry.detail) == (boss, {"streams_ms": 400, "commands_ms": 900, "at_risk_usd": "1.00"})
    assert list(rest.unfinished()) == []
    assert accounts.global_account().stop == freeze


def test_what_ended_before_the_stop_or_belongs_to_others_is_not_counted(boss):
    run, other = running(), running()
    ledger.lose(books.make_hold(run.assignment.issue.account))
    pausing.stop(Scope(run.assignment.issue), user=boss)
    books.spend(other.assignment.issue.account)
    Run.objects.filter(pk=run.pk).update(status="queued")

    assert rest.measure(Freeze.objects.get())

    freeze = Freeze.objects.get()
    assert (freeze.streams_ms, freeze.commands_ms) == (0, 0)


def test_a_check_under_way_keeps_a_gentle_stop_open_until_it_ends(boss):
    issue = factories.planned(factories.project(checks=[{"name": "t", "command": "x", "timeout_s": 9}]))
    scheduling.advance(issue.pk)
    pull = factories.hand_in(issue.tasks.get())
    Errand.objects.filter(kind="projects.run_checks").update(status="running")
    pausing.stop(Scope(issue), user=boss, sandboxes=Sandboxes.FINISH)
    assert not errands.is_stopped("projects.run_checks", pull.pk)
    assert not rest.measure(Freeze.objects.get())

    at = Freeze.objects.get().at + timedelta(seconds=3)
    Check.objects.update(status="passed", finished_at=at)
    Errand.objects.filter(kind="projects.run_checks").update(status="queued")
    assert rest.measure(Freeze.objects.get())
    assert Freeze.objects.get().commands_ms == 3_000

    with pytest.raises(Later):
        run_checks(pull.pk, errands.Lease(0, 0))


def test_a_second_press_ends_what_the_first_let_go_on(boss):
    issue = factories.planned()
    scheduling.advance(issue.pk)
    pull = factories.pull(issue.tasks.get())
    pausing.stop(Scope(), user=boss, sandboxes=Sandboxes.FINISH)
    assert staffing.is_stopped(issue)
    assert not errands.is_stopped("projects.merge", pull.pk)

    pausing.stop(Scope(), user=boss)

    assert errands.is_stopped("projects.merge", pull.pk)
    assert [freeze.gently for freeze in Freeze.objects.all()] == [False]


def test_a_resume_says_by_whom_and_a_later_stop_is_another(boss):
    for _ in range(2):
        pausing.stop(Scope(), user=boss)
        pausing.resume(Scope(), user=boss)
    assert [(each.thawed_by, each.thawed_at is None) for each in Freeze.objects.all()] == [(boss, False)] * 2
    assert accounts.global_account().stop is None
    actions = AuditEntry.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["budgets.freeze", "projects.stop", "budgets.thaw", "projects.resume"] * 2


def test_all_agents_of_a_role_are_stopped_at_once(boss):
    run = running()
    scope = scopes.find(boss, "role:coder")
    assert scope == Scope(Role.CODER)
    pausing.stop(scope, user=boss)

    assert accounts.agent_type_account("coder").is_frozen
    assert scopes.find(boss, f"account:{scope.account.pk}") == scope
    assert not rest.measure(Freeze.objects.get())
    Run.objects.filter(pk=run.pk).update(status="queued")
    assert rest.measure(Freeze.objects.get())


def test_the_job_looks_until_all_is_at_rest_and_no_longer(boss, monkeypatch):
    monkeypatch.setattr(tasks, "LOOK_S", 0.3)
    running()
    pausing.stop(Scope(), user=boss)
    began = time.monotonic()
    tasks.see_stops_out()
    assert 0.3 <= time.monotonic() - began < 5
    Run.objects.update(status="queued")
    tasks.see_stops_out()
    assert Freeze.objects.get().is_over
