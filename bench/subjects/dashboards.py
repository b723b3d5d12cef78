"""The budget pages over many usage rows.

A year of a company is written by the database itself: 200,000 usages (10 million with ``--full``) with a hold of five
lines and five postings each, over 4 kinds of agents, 499 agents, 50 projects and an issue for every 500 usages, and 60
holds that are not settled. Measured: each thing that the
overview shows, as the page asks for it, and the whole page through the whole of Django; and that what is shown is
equal to raw sums over the usages.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial

from django.db import reset_queries
from django.db.models import QuerySet, Sum
from django.test import Client, override_settings
from django.urls import get_resolver, reverse

from bench import usages
from bench.finding import Finding, Scale, Target, percentile
from budgets import access, queries, spending
from budgets.models import Account, Usage
from budgets.services import accounts
from mcc.core import garbage, staticfiles
from mcc.core.models import User
from projects import usage, usage_csv
from projects.usage_filter import UsageFilter

KINDS = Account.Kind
TARGET = Target("at most", 100)


def measure(scale: Scale) -> Iterator[Finding]:
    count, repeats = scale.of(2_000, 200_000, 10_000_000), scale.of(3, 30, 20)
    usages.seed(count)
    staticfiles.collect()
    user = User.objects.create_superuser("bench", password=None)
    _ = get_resolver().url_patterns
    garbage.spare_imports()  # both as the web process does
    visible = access.visible_accounts(user)
    company = accounts.global_account()
    asked: dict[str, Callable[[], object]] = {
        "company": lambda: spending.rows([company]),
        "projects, agents and their kinds": lambda: _shown(visible, KINDS.PROJECT, KINDS.AGENT, KINDS.AGENT_TYPE),
        "dearest issues": lambda: _shown(visible, KINDS.ISSUE),
        "30 days by kind of agent": lambda: spending.chart(visible.filter(kind=KINDS.AGENT_TYPE), title="bench"),
        "latest usages": lambda: spending.latest(user),
    }
    for what, ask in asked.items():
        yield from _timed(what, ask, repeats, TARGET)
    one: dict[str, str | int] = {"account": visible.filter(kind=KINDS.PROJECT)[0].pk, "source": "response"}
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        client = Client()
        client.force_login(user)
        yield from _timed("overview page", partial(_page, client, "budgets:overview"), repeats, TARGET)
        for by in ("day", "project", "agent", "model", "issue", "outcome"):
            yield from _timed(f"usage by {by}, page", partial(_page, client, "projects:usage", by=by), repeats, TARGET)
        crashed = partial(_page, client, "projects:usage", outcome="crashed", by="model")
        yield from _timed("usage of crashed runs, page", crashed, repeats, TARGET)
        yield from _timed("usage of one project by source, page", partial(_page, client, "projects:usage", **one), 3)
    yield from _timed("first 500 lines of the export", partial(_first_lines, user), repeats)
    yield Finding(
        "difference from the raw sums", "nano-dollars", [_difference()], Target("equal to", 0), f"{count:,} usages"
    )


def _timed(what: str, ask: Callable[[], object], repeats: int, target: Target | None = None) -> Iterator[Finding]:
    """How long ``ask`` takes, and what it takes of this process's time, which depends less on what else runs here."""
    ask()
    times, worked = [], []
    for _ in range(repeats):
        reset_queries()
        began, begun = time.perf_counter(), time.process_time()
        ask()
        times.append(1_000 * (time.perf_counter() - began))
        worked.append(1_000 * (time.process_time() - begun))
    yield Finding(f"{what}, p95", "ms", [percentile(times, 0.95)], target)
    yield Finding(f"{what}, processor time", "ms", worked)


def _shown(visible: QuerySet[Account], *kinds: str) -> list[spending.AccountRow]:
    found = spending.first_of_kinds(visible, kinds)
    return spending.rows(account for _, accounts, _ in found for account in accounts)


def _page(client: Client, page: str, **query: str | int) -> None:
    status = client.get(reverse(page), query).status_code
    assert status == 200, status


def _first_lines(user: User) -> None:
    lines = usage_csv.table(usage.postings(user, UsageFilter()))
    next(lines)
    next(lines)


def _difference() -> int:
    """Return by how much what is shown differs from the sum of all usages."""
    raw = Usage.objects.aggregate(total=Sum("cost_nanousd", default=0))["total"]
    shown = queries.totals(Account.objects.all())
    by_kind = {
        kind: sum(shown[pk] for pk in Account.objects.filter(kind=kind).values_list("pk", flat=True)) for kind in KINDS
    }
    return sum(abs(total - raw) for total in by_kind.values())
