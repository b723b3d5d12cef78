"""When money is short: one question for each limit, its three answers, and the clock."""

from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from agents.models import Run
from agents.runner import states
from agents.runner.claims import Lease
from agents.runner.states import Wait
from agents.services import runs
from budgets import periods
from budgets.models import Limit
from budgets.services import accounts, ledger
from budgets.tests import factories as books
from mcc.core.errors import InvalidInput, NotAllowed
from mcc.core.models import User
from mcc.core.money import NANOUSD
from projects import tasks
from projects.models import Issue, Membership, Project, Request
from projects.services import money, requests, scheduling
from projects.tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def boss() -> User:
    return factories.user(is_superuser=True)


def at_work(project: Project | None = None, *planned: dict) -> Issue:
    issue = factories.planned(project or factories.project(coders=3), *planned)
    scheduling.advance(issue.pk)
    return issue


def coding_runs(issue: Issue) -> list[Run]:
    return list(Run.objects.filter(assignment__task__issue=issue).order_by("pk"))


def starve(run: Run, limit: Limit, needs_nanousd: int) -> None:
    """Let ``run`` lie down for want of money, as the runner does."""
    Run.objects.filter(pk=run.pk).update(status="running", lease_owner="here", lease_epoch=1)
    states.park(Lease(run.pk, "here", 1), Wait("budget", needs_nanousd=needs_nanousd, short_of=limit.pk), 0)


def look(issue: Issue) -> None:
    """Let the scheduler do what it was rung for."""
    tasks.advance_all()
    scheduling.advance(issue.pk)


def answer(request: Request, user: User, choice: str, text: str = "") -> None:
    requests.answer(request, user=user, choice=choice, text=text)
    tasks.settle_shortage(request.pk)


def status(run: Run) -> str:
    run.refresh_from_db()
    return run.status


def test_the_question_says_which_limit_is_short_and_by_how_much():
    issue = at_work()
    limit = accounts.set_limit(issue.account, NANOUSD, period="daily")
    books.spend(issue.account, cost=250_000_000)
    starve(coding_runs(issue)[0], limit, NANOUSD)

    look(issue)

    asked = Request.objects.open().get()
    assert (asked.issue, asked.limit, asked.kind) == (issue, limit, "budget")
    assert asked.question.endswith(f"cannot go on: the daily limit of issue {issue.key} is $0.25 short.")
    lines = ["Limit: $1.00 a day", "Spent: $0.25", "under way: $0.00", "Left: $0.75", "next call: at least $1.00"]
    assert all(line in asked.detail for line in lines)
    _, midnight = periods.bounds("daily", timezone.now())
    assert [option["value"] for option in asked.options] == ["raise", "wait", "cancel"]
    assert (asked.options[0]["amount"], asked.resets_at) == ("1.00", midnight)
    assert f"{timezone.localtime(midnight):%-d %b, %H:%M %Z}" in asked.options[1]["label"]
    issue.refresh_from_db()
    assert issue.blocked


def test_a_total_never_resets_so_nobody_is_offered_to_wait():
    issue = at_work()
    limit = accounts.set_limit(issue.account, NANOUSD, period="total")
    starve(coding_runs(issue)[0], limit, 2 * NANOUSD)
    look(issue)
    assert [option["value"] for option in Request.objects.get().options] == ["raise", "cancel"]


def test_nobody_is_offered_to_wait_for_a_limit_that_is_too_low_for_the_next_call_even_when_nothing_is_spent():
    issue = at_work()
    limit = accounts.set_limit(issue.account, NANOUSD, period="daily")
    starve(coding_runs(issue)[0], limit, NANOUSD + 1)
    look(issue)
    assert [option["value"] for option in Request.objects.get().options] == ["raise", "cancel"]


@pytest.mark.parametrize(("text", "cents"), [("", 200), ("$2.50", 350)])
def test_one_click_takes_the_proposal_and_another_amount_may_be_said(boss, text, cents):
    issue = at_work()
    run = coding_runs(issue)[0]
    limit = accounts.set_limit(issue.account, NANOUSD, period="total")
    starve(run, limit, 1_200_000_000)
    look(issue)

    answer(Request.objects.get(), boss, "raise", text)

    assert (status(run), run.short_of, run.needs_nanousd) == ("queued", None, None)
    assert issue.account.limits.get(active=True).amount_nanousd == cents * NANOUSD // 100
    issue.refresh_from_db()
    assert not issue.blocked


@pytest.mark.parametrize("text", ["much", "-1", "0", "99999999999", "1e30", "inf", "nan", "1e999999"])
def test_what_is_no_amount_is_refused(boss, text):
    issue = at_work()
    starve(coding_runs(issue)[0], accounts.set_limit(issue.account, 1, period="total"), NANOUSD)
    look(issue)
    with pytest.raises(InvalidInput):
        requests.answer(Request.objects.get(), user=boss, choice="raise", text=text)


def test_an_answer_that_cannot_be_carried_out_holds_up_no_other(boss, caplog):
    stuck, other = at_work(), at_work(factories.project(coders=3))
    for issue in (stuck, other):
        starve(coding_runs(issue)[0], accounts.set_limit(issue.account, NANOUSD, period="total"), 2 * NANOUSD)
        look(issue)
    for asked in Request.objects.open():
        requests.answer(asked, user=boss, choice="raise", text="5")
    Request.objects.filter(issue=stuck).update(answer_text="as much as it takes")

    tasks.advance_all()

    assert "cannot be carried out" in caplog.text
    assert other.account.limits.get(active=True).amount_nanousd == 6 * NANOUSD
    assert status(coding_runs(other)[0]) == "queued"


def test_two_answers_about_one_limit_both_count(boss):
    limit = accounts.set_limit(accounts.global_account(), 3 * NANOUSD, period="monthly")
    for _ in range(2):
        issue = at_work(factories.project(coders=3))
        starve(coding_runs(issue)[0], limit, 4 * NANOUSD)
        look(issue)
    for asked in Request.objects.open():
        requests.answer(asked, user=boss, choice="raise", text="5")

    tasks.advance_all()

    assert Limit.objects.get(pk=limit.pk).amount_nanousd == 13 * NANOUSD


def test_a_raise_of_what_was_taken_away_meanwhile_brings_nothing_back(boss):
    issue = at_work()
    limit = accounts.set_limit(issue.account, NANOUSD, period="total")
    starve(coding_runs(issue)[0], limit, 2 * NANOUSD)
    look(issue)
    requests.answer(Request.objects.open().get(), user=boss, choice="raise", text="5")
    accounts.clear_limit(limit)

    tasks.advance_all()

    assert not issue.account.limits.filter(active=True).exists()
    assert status(coding_runs(issue)[0]) == "queued"


def test_a_raise_that_is_too_small_is_asked_about_again(boss):
    issue = at_work()
    run = coding_runs(issue)[0]
    starve(run, accounts.set_limit(issue.account, NANOUSD, period="total"), 3 * NANOUSD)
    look(issue)

    answer(Request.objects.get(), boss, "raise", "1")

    assert status(run) == "waiting"
    assert "is $1.00 short" in Request.objects.open().get().question


def test_whoever_chose_to_wait_is_not_asked_again_and_the_reset_wakes_the_run(boss):
    issue = at_work()
    run = coding_runs(issue)[0]
    limit = accounts.set_limit(issue.account, NANOUSD, period="daily")
    books.spend(issue.account, cost=NANOUSD)
    starve(run, limit, 500_000_000)
    look(issue)

    answer(Request.objects.get(), boss, "wait")
    look(issue)

    assert status(run) == "waiting"
    assert not Request.objects.open().exists()
    issue.refresh_from_db()
    assert not issue.blocked
    _, midnight = periods.bounds("daily", timezone.now())
    assert midnight is not None
    assert money.wake_waiting(at=midnight - timedelta(seconds=1)) == 0
    assert money.wake_waiting(at=midnight) == 1
    assert status(run) == "queued"


def test_to_cancel_gives_up_the_task_whose_run_waits_and_no_other(boss):
    issue = at_work(None, {"key": "a"}, {"key": "b"})
    short, other = coding_runs(issue)
    starve(short, accounts.set_limit(issue.account, 1, period="total"), NANOUSD)
    look(issue)

    answer(Request.objects.get(), boss, "cancel")

    assert (status(short), short.outcome, status(other)) == ("finished", "budget", "queued")
    assert dict(issue.tasks.values_list("key", "status")) == {"a": "cancelled", "b": "coding"}


def test_ten_runs_short_of_one_limit_ask_one_question_and_its_answer_serves_them_all(boss):
    project = factories.project(coders=10)
    issue = at_work(project, *({"key": f"t{number}"} for number in range(5)))
    Project.objects.filter(pk=project.pk).update(parallel_coders=10)
    other = at_work(Project.objects.get(pk=project.pk), *({"key": f"u{number}"} for number in range(5)))
    waiting = [*coding_runs(issue), *coding_runs(other)]
    limit = accounts.set_limit(project.account, 2 * NANOUSD, period="monthly")
    for run in waiting:
        starve(run, limit, 3 * NANOUSD)
    look(issue)
    scheduling.advance(other.pk)

    asked = Request.objects.open().get()
    assert (asked.issue, asked.project) == (None, project)
    assert asked.question.startswith(f"{len(waiting)} agents cannot go on together")
    for each in (issue, other):
        each.refresh_from_db()
        assert each.blocked
        assert asked in Request.objects.about(each)

    answer(asked, boss, "raise", "100")
    assert {status(run) for run in waiting} == {"queued"}


def test_each_limit_that_is_short_has_its_question():
    issue = at_work(None, {"key": "a"}, {"key": "b"})
    first, second = coding_runs(issue)
    starve(first, accounts.set_limit(issue.account, 1, period="total"), NANOUSD)
    starve(second, accounts.set_limit(issue.project.account, 1, period="daily"), NANOUSD)
    look(issue)
    assert Request.objects.open().count() == 2


def test_a_second_limit_that_is_short_is_asked_about_when_the_first_was_raised(boss):
    issue = at_work()
    run = coding_runs(issue)[0]
    limit = accounts.set_limit(issue.account, 1, period="total")
    wider = accounts.set_limit(issue.project.account, 1, period="total")
    starve(run, limit, NANOUSD)
    look(issue)

    answer(Request.objects.get(), boss, "raise", "5")

    assert Request.objects.open().get().limit == wider
    assert status(run) == "waiting"


@pytest.mark.parametrize("how", ["raised", "taken away"])
def test_a_limit_that_is_changed_on_its_page_wakes_who_waited_at_once(
    boss, client, how, django_capture_on_commit_callbacks
):
    issue = at_work()
    run = coding_runs(issue)[0]
    limit = accounts.set_limit(issue.account, NANOUSD, period="total")
    starve(run, limit, 2 * NANOUSD)
    look(issue)
    client.force_login(boss)
    OrmQ.objects.all().delete()

    with django_capture_on_commit_callbacks(execute=True):
        if how == "raised":
            prefix = f"limit-{limit.pk}"
            terms = {"amount_usd": "3", "period": "total", "action": "block", "warn_percent": "80"}
            form = {"prefix": prefix} | {f"{prefix}-{name}": value for name, value in terms.items()}
            answered = client.post(f"/budgets/{issue.account_id}/limits/", form)
        else:
            answered = client.post(f"/budgets/limits/{limit.pk}/remove/")
    assert answered.status_code == 302
    assert [job.task["func"] for job in OrmQ.objects.all()].count("projects.tasks.look_at_shortages") == 1
    tasks.look_at_shortages()

    assert status(run) == "queued"
    assert not Request.objects.open().exists()
    issue.refresh_from_db()
    assert not issue.blocked


@pytest.mark.parametrize(
    ("decision", "expected"),
    [
        ({"verdict": "nothing_sent"}, "queued"),
        ({"verdict": "charge_amount", "amount_usd": "0.10"}, "queued"),
        ({"verdict": "charge_hold"}, "waiting"),
    ],
)
def test_what_a_decided_call_gives_back_wakes_who_waited_for_it_at_once(
    boss, client, decision, expected, django_capture_on_commit_callbacks
):
    issue = at_work()
    run = coding_runs(issue)[0]
    limit = accounts.set_limit(issue.account, NANOUSD, period="total")
    lost = books.make_hold(issue.account, amount=NANOUSD, at=timezone.now() - timedelta(hours=2))
    ledger.lose(lost)
    starve(run, limit, NANOUSD // 2)
    look(issue)
    client.force_login(boss)
    OrmQ.objects.all().delete()

    with django_capture_on_commit_callbacks(execute=True):
        answered = client.post(f"/calls/lost/{lost.pk}/", decision | {"reason": "as the bill says"})
    assert answered.status_code == 302
    assert [job.task["func"] for job in OrmQ.objects.all()].count("projects.tasks.look_at_shortages") == 1
    tasks.look_at_shortages()

    assert status(run) == expected
    assert Request.objects.open().exists() == (expected == "waiting")


def test_a_limit_that_concerns_nobody_who_waits_rings_nobody(boss, django_capture_on_commit_callbacks):
    issue = at_work()
    OrmQ.objects.all().delete()
    with django_capture_on_commit_callbacks(execute=True):
        accounts.set_limit(issue.account, NANOUSD, period="total", user=boss)
    assert "projects.tasks.look_at_shortages" not in [job.task["func"] for job in OrmQ.objects.all()]


def test_a_talk_that_belongs_to_no_issue_asks_the_people_of_its_project(boss, django_capture_on_commit_callbacks):
    project = factories.project()
    run = runs.start(
        project.team.first(),
        purpose="chat",
        title="A talk",
        order="Hello.",
        workplace=f"project:{project.pk}",
        accounts=[project.account],
    )
    limit = accounts.set_limit(project.account, 1, period="weekly")

    with django_capture_on_commit_callbacks(execute=True):
        starve(run, limit, NANOUSD)

    asked = Request.objects.open().get()
    assert (asked.issue, asked.project, asked.agent) == (None, project, run.agent)
    answer(asked, boss, "cancel")
    assert (status(run), run.outcome) == ("finished", "budget")


def test_only_who_may_limit_an_account_may_raise_its_limit():
    owner = factories.user()
    project = factories.project(owner=owner)
    issue = at_work(project)
    run = coding_runs(issue)[0]
    books.spend(accounts.global_account(), cost=1)
    starve(run, accounts.set_limit(accounts.global_account(), NANOUSD, period="daily"), NANOUSD)
    look(issue)
    asked = Request.objects.open().get()

    with pytest.raises(NotAllowed):
        requests.answer(asked, user=owner, choice="raise")
    viewer = factories.user()
    Membership.objects.create(project=project, user=viewer, role=Membership.Role.VIEWER)
    with pytest.raises(NotAllowed):
        requests.answer(asked, user=viewer, choice="wait")

    answer(asked, owner, "wait")
    assert "administrators raise it" in asked.detail


def test_the_question_is_void_once_nobody_waits_for_the_limit():
    issue = at_work()
    run = coding_runs(issue)[0]
    limit = accounts.set_limit(issue.account, 1, period="total")
    starve(run, limit, NANOUSD)
    look(issue)

    accounts.set_limit(issue.account, 2 * NANOUSD, period="total")
    look(issue)

    assert not Request.objects.open().exists()
    assert status(run) == "queued"


def test_a_run_that_is_short_again_asks_again():
    issue = at_work()
    run = coding_runs(issue)[0]
    limit = accounts.set_limit(issue.account, 1, period="total")
    starve(run, limit, NANOUSD)
    look(issue)
    runs.wake(run)
    look(issue)
    assert not Request.objects.open().exists()

    starve(run, limit, NANOUSD)
    look(issue)

    assert Request.objects.open().get().limit == limit


def test_only_a_run_whose_next_call_fits_is_woken_by_the_clock():
    issue = at_work()
    run = coding_runs(issue)[0]
    starve(run, accounts.set_limit(issue.account, 299, period="total"), 300)
    assert money.wake_waiting() == 0

    accounts.set_limit(issue.account, 300, period="total")

    assert money.wake_waiting() == 1
    assert (status(run), run.needs_nanousd) == ("queued", None)


@pytest.mark.parametrize(("answer", "expected"), [({"choice": "raise"}, "queued"), ({"choice": "wait"}, "waiting")])
def test_rest_answers_do_the_same(client, boss, answer, expected):
    issue = at_work()
    run = coding_runs(issue)[0]
    books.spend(issue.account, cost=NANOUSD)
    starve(run, accounts.set_limit(issue.account, NANOUSD, period="daily"), NANOUSD)
    look(issue)
    client.force_login(boss)
    asked = client.get(f"/api/v1/requests/?issue={issue.pk}").json()["results"][0]
    assert (asked["options"][0]["amount"], asked["resets_at"] is None) == ("5.00", False)

    told = client.post(f"/api/v1/requests/{asked['id']}/answer/", answer, content_type="application/json")
    look(issue)

    assert (told.status_code, told.json()["is_open"]) == (200, False)
    assert status(run) == expected


def test_the_card_of_the_question_has_the_proposal_filled_in(client, boss):
    issue = at_work()
    books.spend(issue.project.account, cost=NANOUSD)
    starve(coding_runs(issue)[0], accounts.set_limit(issue.project.account, NANOUSD, period="daily"), NANOUSD)
    look(issue)
    client.force_login(boss)
    for page in ("/inbox/", f"/issues/{issue.key}/"):
        text = client.get(page).content.decode()
        assert 'inputmode="decimal"' in text
        assert 'value="5.00"' in text
        assert "Wait until it resets" in text
