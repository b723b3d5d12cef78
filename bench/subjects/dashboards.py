"""The budget pages over many usage rows.

A year of a company is written by the database itself: 200,000 usages (10 million with ``--full``) with a hold of five
lines and five postings each, over 4 kinds of agents, 499 agents, 50 projects and an issue for every 500 usages, and 60
holds that are not settled. Measured: each thing that the
overview shows, as the page asks for it, and the whole page through the whole of Django; and that what is shown is
equal to raw sums over the usages.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from django.db import reset_queries
from django.db.models import QuerySet, Sum
from django.test import Client, override_settings
from django.urls import reverse

from bench import usages
from bench.finding import Finding, Scale, Target, percentile
from budgets import access, queries, spending
from budgets.models import Account, Usage
from budgets.services import accounts
from mcc.core import staticfiles
from mcc.core.models import User
from projects import usage, usage_csv
from projects.usage_filter import UsageFilter

KINDS = Account.Kind


def measure(scale: Scale) -> Iterator[Finding]:
    count, repeats = scale.of(2_000, 200_000, 10_000_000), scale.of(3, 30, 20)
    usages.seed(count)
    staticfiles.collect()
    user = User.objects.create_superuser("bench", password=None)
    visible = access.visible_accounts(user)
    company = accounts.global_account()
    asked: dict[str, Callable[[], object]] = {
        "company": lambda: spending.rows([company]),
        "projects": lambda: _shown(visible, KINDS.PROJECT),
        "agents": lambda: _shown(visible, KINDS.AGENT),
        "dearest issues": lambda: _shown(visible, KINDS.ISSUE),
        "30 days by kind of agent": lambda: spending.chart(visible.filter(kind=KINDS.AGENT_TYPE), title="bench"),
        "latest usages": lambda: spending.latest(user),
    }
    target = Target("at most", 100)
    for what, ask in asked.items():
        yield Finding(f"{what}, p95", "ms", [_p95_ms(ask, repeats)], target, f"{count:,} usages")
    yield Finding("overview page, p95", "ms", [_page_p95_ms(user, "budgets:overview", repeats)], target, "all of this")
    for by in ("day", "project", "agent", "model", "issue"):
        taken = _page_p95_ms(user, "projects:usage", repeats, {"by": by})
        yield Finding(f"usage by {by}, page, p95", "ms", [taken], target, "all usages, from the sums per day")
    one: dict[str, str | int] = {"account": visible.filter(kind=KINDS.PROJECT)[0].pk, "source": "response"}
    yield Finding(
        "usage of one project by source, page, p95", "ms", [_page_p95_ms(user, "projects:usage", repeats, one)]
    )
    export = partial(_first_lines, user)
    yield Finding(
        "first 500 lines of the export, p95", "ms", [_p95_ms(export, repeats)], None, "newest first, streamed"
    )
    yield Finding("difference from the raw sums", "nano-dollars", [_difference()], Target("equal to", 0))


def _p95_ms(ask: Callable[[], object], repeats: int) -> float:
    ask()
    times = []
    for _ in range(repeats):
        reset_queries()
        began = time.perf_counter()
        ask()
        times.append(1_000 * (time.perf_counter() - began))
    return percentile(times, 0.95)


def _shown(visible: QuerySet[Account], kind: str) -> list[spending.AccountRow]:
    return spending.rows(spending.of_kind(visible, kind)[: spending.KIND_SHOWN])


def _first_lines(user: User) -> None:
    lines = usage_csv.table(usage.postings(user, UsageFilter()))
    next(lines)
    next(lines)


def _page_p95_ms(user: User, page: str, repeats: int, query: Mapping[str, str | int] | None = None) -> float:
    with override_settings(ALLOWED_HOSTS=["testserver"]):
        client = Client()
        client.force_login(user)
        return _p95_ms(lambda: _ok(client.get(reverse(page), query).status_code), repeats)


def _ok(status: int) -> None:
    assert status == 200, status


def _difference() -> int:
    """Return by how much what is shown differs from the sum of all usages."""
    raw = Usage.objects.aggregate(total=Sum("cost_nanousd", default=0))["total"]
    shown = queries.totals(Account.objects.all())
    by_kind = {
        kind: sum(shown[pk] for pk in Account.objects.filter(kind=kind).values_list("pk", flat=True)) for kind in KINDS
    }
    return sum(abs(total - raw) for total in by_kind.values())
