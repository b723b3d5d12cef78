"""What an issue will cost: from generated histories, at today's prices, honest about what is not known."""

import random
from datetime import timedelta

import pytest
from django.utils import timezone

from agents.models import ModelCard, Purpose, Role, Run
from budgets.models import Price
from budgets.tests import factories as books
from mcc.core.money import NANOUSD
from projects import experience, forecasts
from projects.forecasts import Forecast
from projects.models import Issue, Project
from projects.services import issues, staffing
from projects.tests import factories

pytestmark = pytest.mark.django_db

CENT = NANOUSD // 100


def finished(project: Project, cents: int, *, hours: float = 1, role: Role = Role.CODER) -> Issue:
    """An issue that is done: one run of ``role`` cost so much."""
    issue = factories.planned(project)
    agent = project.team.filter(role=role)[0]
    run = staffing.begin(issue, agent, Purpose.IMPLEMENT, "Do it.", workplace=f"issue:{issue.pk}").run
    books.spend(issue.account, cost=cents * CENT)
    Run.objects.filter(pk=run.pk).update(cost_nanousd=cents * CENT, input_tokens=1_000_000, output_tokens=100_000)
    factories.finish(run, "submitted")
    now = timezone.now()
    Issue.objects.filter(pk=issue.pk).update(
        status="done", started_at=now - timedelta(hours=hours), finished_at=now - timedelta(seconds=1)
    )
    return issue


def priced(project: Project, role: Role, *, usd_in: int, usd_out: int) -> None:
    """Let the agents of ``role`` work with another model from now on."""
    agent = project.team.filter(role=role)[0]
    price = Price.objects.create(
        provider="acme",
        model=f"acme/{usd_in}-{usd_out}",
        input_nanousd_per_mtok=usd_in * NANOUSD,
        output_nanousd_per_mtok=usd_out * NANOUSD,
    )
    card = ModelCard.objects.create(provider=agent.model.provider, name=price.model, price=price)
    project.team.filter(role=role).update(model=card)


def test_nobody_pretends_to_know_without_history():
    project = factories.project()
    issue = factories.issue(project)
    assert forecasts.before_start(project) is None
    assert issue.forecast is None
    assert forecasts.told(issue).latest is None
    assert forecasts.calibration(project) is None


def test_an_issue_keeps_what_was_foretold_when_it_started():
    project = factories.project(coders=1)
    for cents in (10, 20, 30, 40):
        finished(project, cents)

    waiting = factories.issue(project, start=False)
    assert waiting.forecast is None
    foretold = forecasts.told(waiting).latest
    assert foretold is not None
    assert (foretold.p50_nanousd, foretold.p90_nanousd) == (30 * CENT, 40 * CENT)
    assert (foretold.cases, foretold.of, foretold.is_own) == (4, "issues", True)

    issues.start(waiting)
    finished(project, 90)

    assert forecasts.stored(Issue.objects.get(pk=waiting.pk)).start == foretold
    assert forecasts.before_start(project) != foretold


def test_a_project_with_little_history_borrows_that_of_all_and_says_so():
    for cents in (10, 20, 30):
        finished(factories.project(coders=1), cents)
    project = factories.project(coders=1)
    finished(project, 50)
    borrowed = forecasts.before_start(project)
    assert borrowed is not None
    assert (borrowed.cases, borrowed.is_own, borrowed.p90_nanousd) == (4, False, 50 * CENT)
    assert borrowed.source == "from 4 finished issues of all projects"


def test_history_is_priced_with_the_models_that_the_team_uses_now():
    project = factories.project(coders=1)
    priced(project, Role.CODER, usd_in=1, usd_out=10)
    for cents in (100, 100, 100):
        finished(project, cents)

    priced(project, Role.CODER, usd_in=2, usd_out=40)

    # 1 Mtok in and 0.1 out: 1 + 1 = 2 then, 2 + 4 = 6 now.
    assert experience.of_issues(project).costs == [300 * CENT] * 3
    priced(project, Role.REVIEWER, usd_in=500, usd_out=500)
    assert experience.of_issues(project).costs == [300 * CENT] * 3, "no Reviewer worked on them"


def test_what_no_run_explains_grows_as_the_runs_do():
    project = factories.project(coders=1)
    priced(project, Role.CODER, usd_in=1, usd_out=1)
    issue = finished(project, 100)
    books.spend(issue.account, cost=10 * CENT)
    priced(project, Role.CODER, usd_in=2, usd_out=2)
    assert experience.of_issues(project).costs == [220 * CENT]


@pytest.mark.parametrize("cases", [9, 20, 50])
def test_about_nine_of_ten_of_generated_issues_cost_at_most_their_p90(cases):
    """The costs of work are skewed: a log-normal distribution, its tail as heavy as those of real issues."""
    dice = random.Random(7)
    rounds, half, most = 3_000, 0, 0
    for _ in range(rounds):
        history = [round(dice.lognormvariate(0, 1) * NANOUSD) for _ in range(cases)]
        actual = round(dice.lognormvariate(0, 1) * NANOUSD)
        half += actual <= forecasts.quantile(history, forecasts.HALF)
        most += actual <= forecasts.quantile(history, forecasts.MOST)
    assert 0.88 <= most / rounds <= 0.94
    assert 0.47 <= half / rounds <= 0.57


def test_with_fewer_than_nine_cases_the_dearest_is_called_that_and_no_bound():
    assert forecasts.quantile([5, 1, 3], forecasts.MOST) == 5
    assert forecasts.quantile([7], forecasts.HALF) == 7
    few, enough = (Forecast(20 * CENT, 50 * CENT, 60, 120, cases, "issues", True) for cases in (8, 9))
    assert str(few) == "about $0.20; 8 finished issues so far, the dearest cost $0.50; 1 min to 2 min"
    assert str(enough) == "$0.20, at most $0.50 in nine of ten cases; 1 min to 2 min (from 9 finished issues)"


def test_once_there_is_a_plan_what_was_foretold_without_it_is_told_no_more():
    start = Forecast(20 * CENT, 50 * CENT, 60, 120, 9, "issues", True)
    issue = factories.issue()
    issue.forecast, issue.plan_round = {"start": vars(start), "plan": None}, 1
    assert (forecasts.stored(issue).start, forecasts.stored(issue).latest) == (start, None)


def test_an_open_issue_never_comes_to_less_than_is_already_spent(client):
    client.force_login(factories.user(is_superuser=True))
    issue = factories.planned()
    start = Forecast(20 * CENT, 50 * CENT, 60, 120, 3, "issues", True)
    Issue.objects.filter(pk=issue.pk).update(forecast={"start": vars(start), "plan": None})
    books.spend(issue.account, cost=30 * CENT)
    assert client.get(f"/api/v1/issues/{issue.pk}/").json()["forecast"]["p50_usd"] == "0.30"
    assert "about $0.30 " in client.get(f"/issues/{issue.key}/").content.decode()

    books.spend(issue.account, cost=30 * CENT)

    told = client.get(f"/api/v1/issues/{issue.pk}/").json()
    assert (told["forecast"]["p90_usd"], told["forecast_at_start"]["p90_usd"]) == ("0.60", "0.50")
    assert "above the $0.50 foretold" in client.get(f"/issues/{issue.key}/").content.decode()


def test_calibration_counts_how_often_the_actual_cost_stayed_within():
    project = factories.project(coders=1)
    told = Forecast(20 * CENT, 50 * CENT, 60, 120, 9, "issues", True)
    for cents in (10, 20, 40, 60):
        issue = finished(project, cents)
        Issue.objects.filter(pk=issue.pk).update(forecast={"start": vars(told), "plan": None})
    unforetold, unbound = finished(project, 500), finished(project, 500)
    Issue.objects.filter(pk=unforetold.pk).update(forecast=None)
    Issue.objects.filter(pk=unbound.pk).update(forecast={"start": vars(told) | {"cases": 8}, "plan": None})

    found = forecasts.calibration(project)

    assert found is not None
    assert (found.issues, found.within_half, found.within_most) == (4, 2, 3)
    assert (found.half_percent, found.most_percent) == (50, 75)
    assert [told.verdict(cents * CENT) for cents in (20, 21, 51)] == ["half", "most", "above"]


def test_rest_and_pages_tell_the_forecast(client):
    boss = factories.user(is_superuser=True)
    client.force_login(boss)
    project = factories.project(coders=1)
    for cents in (10, 20, 30, 40):
        finished(project, cents)
    issue = factories.issue(project, start=False)

    told = client.get(f"/api/v1/issues/{issue.pk}/").json()

    assert told["forecast"] == told["forecast_at_start"]
    assert (told["forecast"]["p50_usd"], told["forecast"]["p90_usd"], told["forecast"]["cases"]) == ("0.30", "0.40", 4)
    for page in (f"/issues/{issue.key}/cost/", f"/issues/new/?project={project.key}"):
        text = client.get(page).content.decode()
        assert "$0.30" in text
        assert "4 finished issues so far, the dearest cost $0.40" in text
    empty = factories.project(coders=1)
    Issue.objects.filter(project=project).update(status="cancelled")
    assert "no history yet" in client.get(f"/issues/new/?project={empty.key}").content.decode()
