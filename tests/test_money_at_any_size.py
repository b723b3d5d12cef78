"""What pages and workers ask about money costs the same however many usages there are, and whatever the database's
statistics saw: they are as old as the last ANALYZE, and SQLite may have none.
"""

from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.urls import reverse
from django.utils import timezone

from agents.models import Provider
from bench import usages
from budgets import queries, reading, vitals
from budgets.models import Hold
from budgets.services import accounts, buckets, ledger, reconciling, sweep
from mcc.core.models import User
from projects import usage
from projects.usage_filter import UsageFilter
from tests.work import work

pytestmark = pytest.mark.django_db

FEW, MANY = 8_000, 64_000
"""With the fewer, too, almost each day has runs of almost each outcome: so many sums there are, however many usages."""
AS_MANY = 3
"""A plan that finds the same rows by way of a bitmap counts them in its index, too, with their former versions."""
SUMMED = ("day", "issue", "agent", "model_asked", "endpoint", "outcome")


@pytest.mark.timeout(600)
def test_what_is_asked_about_money_does_not_read_the_history(client) -> None:
    user = User.objects.create_superuser("root", password=None)
    client.force_login(user)
    groups = usages.company(agents=6, projects=3, issues=10)
    provider = Provider.objects.create(name="acme", kind="openai_compatible")
    company, project = accounts.global_account(), groups[3][0]
    today = timezone.now() - timedelta(hours=1)
    quiet = today.date() + timedelta(days=30)
    asked = {
        "the page's unresolved holds and presumed charges": reading.bill,
        "what failed in the last days": reading.worries,
        "the bill of a day with few calls": partial(reconciling.compare_day, "acme", quiet, {}),
        "days to compare": partial(reconciling.days_to_compare, "acme", today=quiet),
        "open calls": lambda: usage.risk(user, UsageFilter()),
        "open calls of a project": lambda: list(usage.open_holds(user, UsageFilter(account=project))),
        "at risk when the company is stopped": lambda: queries.at_risk_nanousd(company),
        "a new bucket": lambda: buckets.count(company.pk, today, None),
        "metrics": lambda: (vitals.holds(), vitals.held()),
        "a renewed lease": lambda: ledger.renew("run:5", 60),
        "the overview": lambda: _page(client, "budgets:overview"),
        **{f"usage by {by}": partial(_page, client, "projects:usage", by=by) for by in SUMMED},
        "usage at a provider": partial(_page, client, "projects:usage", provider="acme", by="model"),
        "usage of a project by source": partial(_page, client, "projects:usage", account=project.pk, source="response"),
        "usage at a provider that there is not": partial(_page, client, "projects:usage", provider="none"),
        "usage asked of one": partial(
            _page, client, "projects:usage", endpoint="acme", model_asked="acme/0", by="model"
        ),
        "usage of crashed runs": partial(_page, client, "projects:usage", outcome="crashed", by="issue"),
        "usage of what goes on": partial(_page, client, "projects:usage", outcome="open"),
        "usage of no run": partial(_page, client, "projects:usage", outcome="none", by="outcome"),
        "outcomes of a project": partial(_page, client, "projects:usage", account=project.pk, by="outcome"),
        "lost calls": partial(_page, client, "agents:lost_calls"),
        "lost calls of a provider": partial(_page, client, "agents:lost_calls", provider="acme"),
        "a provider": lambda: client.get(f"/providers/{provider.pk}/"),
        "a sweep": lambda: sweep.sweep(lambda _: None),
    }

    usages.write(groups, 1, FEW)
    usages.stand(groups)
    few = {name: work(ask) for name, ask in asked.items()}
    usages.write(groups, 10_000, 10_000 + MANY)
    found = {"no statistics": {name: work(ask) for name, ask in asked.items()}}
    _analyze()
    found["statistics"] = {name: work(ask) for name, ask in asked.items()}
    for hold in Hold.objects.open():
        ledger.release(hold)
    _analyze()
    usages.open_holds(groups, "more")
    found["statistics of a moment when nothing was open"] = {name: work(ask) for name, ask in asked.items()}

    more = {
        (when, name): (few[name], count)
        for when, each in found.items()
        for name, count in each.items()
        if count > AS_MANY * few[name] + 200
    }
    assert more == {}


def _page(client, name: str, **query: str) -> None:
    assert client.get(reverse(name), query).status_code == 200


def _analyze() -> None:
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
