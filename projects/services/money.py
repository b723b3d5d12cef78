"""When runs have to wait for money: one question for each limit that is short, and going on when there is some.

A run that waits says which limit refused it (``Run.short_of``), and all runs of a project that wait for one limit share
a question. About the limit of an issue it is the issue's; about a wider one it is the project's, so that runs that
belong to no issue have somebody to ask, too. A limit wider than a project is asked about in each project that it stops:
people see only their own, and whoever is answered with money goes on everywhere.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from agents.models import Outcome, Run
from agents.services import runs
from budgets import queries
from budgets.models import Account, Limit
from budgets.queries import Standing
from budgets.services import accounts, ledger
from mcc.core.money import NANOUSD, usd_display, usd_string
from projects.models import Assignment, Issue, Project, Request
from projects.services import issues, news, requests
from projects.services.requests import Option

BUDGET = "budget"
"""What a run waits for when a hold did not fit (``Run.waits_for``)."""
RAISE, WAIT, CANCEL = "raise", "wait", "cancel"
NO_MONEY = "no money for it"
PERIODS = {
    Limit.Period.DAILY.value: "a day",
    Limit.Period.WEEKLY.value: "a week",
    Limit.Period.MONTHLY.value: "a month",
    Limit.Period.TOTAL.value: "in all",
}


@dataclass(frozen=True)
class Shortage:
    """A limit, and the runs of one project that wait for it."""

    project: Project
    standing: Standing
    runs: Sequence[Run]

    @property
    def limit(self) -> Limit:
        return self.standing.limit

    @property
    def next_nanousd(self) -> int:
        """What the most modest of the runs needs for its next call."""
        return min(run.needs_nanousd or 1 for run in self.runs)

    @property
    def missing_nanousd(self) -> int:
        """What all of them lack for their next calls."""
        return sum(run.needs_nanousd or 1 for run in self.runs) - self.standing.remaining_nanousd

    @property
    def proposal_nanousd(self) -> int:
        """A raise that lasts for a while: a quarter of the limit, or some calls, rounded up to 1, 2 or 5."""
        return _rounded_up(max(4 * self.missing_nanousd, self.limit.amount_nanousd // 4))

    @property
    def question(self) -> str:
        who = self.runs[0].agent.name if len(self.runs) == 1 else f"{len(self.runs)} agents"
        cannot = "cannot go on" if len(self.runs) == 1 else "cannot go on together"
        short = usd_display(self.missing_nanousd)
        limit = f"the {self.limit.period} limit of {_name(self.limit.account)}"
        return f"{who[:1].upper()}{who[1:]} {cannot}: {limit} is {short} short."

    @property
    def detail(self) -> str:
        limit, standing = self.limit, self.standing
        lines = [
            f"- Limit: {usd_display(limit.amount_nanousd)} {PERIODS[limit.period]}",
            f"- Spent: {usd_display(standing.spent_nanousd)}",
            f"- Set aside for calls under way: {usd_display(standing.held_nanousd)}",
            f"- Left: {usd_display(standing.remaining_nanousd)}",
            f"- Needed for the next call: at least {usd_display(self.next_nanousd)}",
        ]
        if len(self.runs) > 1:
            lines.append(f"- Waiting: {', '.join(sorted({run.agent.name for run in self.runs}))}")
        if limit.account.kind not in (Account.Kind.PROJECT, Account.Kind.ISSUE):
            lines.append("- It is no project's own: administrators raise it.")
        return "\n".join(lines)

    @property
    def options(self) -> list[Option]:
        offered = [Option(RAISE, "Raise the limit", amount=usd_string(self.proposal_nanousd))]
        # A new period brings the whole limit, and no more.
        if (end := self.standing.period_end) and self.next_nanousd <= self.limit.amount_nanousd:
            offered.append(Option(WAIT, f"Wait until it resets: {timezone.localtime(end):%a %-d %b, %H:%M %Z}"))
        return [*offered, Option(CANCEL, "Cancel what waits")]


def waiting(project: Project) -> QuerySet[Run]:
    """Return the runs of ``project`` that wait for money, the longest waiting first."""
    charged = Run.objects.filter(accounts=project.account_id, status=Run.Status.WAITING, waits_for=BUDGET)
    return charged.select_related("agent__account").order_by("pk")


def ask_for(project: Project) -> None:
    """Ask about each limit that runs of ``project`` wait for, unless a person chose to wait; void what is not short.

    Level-triggered. Runs in the caller's transaction.
    """
    short = _shortages(project)
    for shortage in short:
        if not _is_patient(shortage):
            _ask(shortage)
    asked = Request.objects.open().filter(project=project, kind=Request.Kind.BUDGET)
    requests.withdraw(asked.exclude(limit__in=[shortage.limit.pk for shortage in short]))


def is_short() -> bool:
    """Whether anybody waits for money."""
    return Run.objects.filter(status=Run.Status.WAITING, waits_for=BUDGET).exists()


def look_again() -> None:
    """Wake whoever has enough by now, and look again at each question that is open."""
    wake_waiting()
    asked = Request.objects.open().filter(kind=Request.Kind.BUDGET)
    for project in Project.objects.filter(pk__in=asked.values("project")):
        with transaction.atomic():
            ask_for(project)


def _shortages(project: Project) -> list[Shortage]:
    """Return what is short now. A run whose next call fits by now is left to `wake_waiting`."""
    found: dict[int, Standing] = {}
    by_limit: dict[int, list[Run]] = defaultdict(list)
    for run in waiting(project):
        standing = _short_for(run)
        if standing is not None:
            found[standing.limit.pk] = standing
            by_limit[standing.limit.pk].append(run)
    return [Shortage(project, found[key], short) for key, short in by_limit.items()]


def _short_for(run: Run) -> Standing | None:
    """Return the limit that stops ``run`` now: the one that refused it, or, once that has enough, the shortest."""
    groups = queries.standings_of([*_charged(run), accounts.global_account()]).values()
    blocking = [standing for group in groups for standing in group if standing.blocks]
    short = [standing for standing in blocking if standing.remaining_nanousd < (run.needs_nanousd or 1)]
    if not short:
        return None
    worst = min(short, key=lambda each: (each.limit.pk != run.short_of_id, each.remaining_nanousd))
    if worst.limit.pk != run.short_of_id:
        Run.objects.filter(pk=run.pk).update(short_of=worst.limit)
    return worst


def _charged(run: Run) -> list[Account]:
    """Return the accounts that ``run`` is charged to, beside the global one."""
    return [*run.accounts.all(), run.agent.account, accounts.agent_type_account(run.agent.role)]


def _is_patient(shortage: Shortage) -> bool:
    """Whether somebody chose to wait until this very period of the limit is over."""
    chosen = Request.objects.filter(project=shortage.project, limit=shortage.limit, answer=WAIT)
    return chosen.filter(resets_at=shortage.standing.period_end).exists()


def _ask(shortage: Shortage) -> None:
    """Ask, or let the open question say how many wait by now."""
    limit, project, first = shortage.limit, shortage.project, shortage.runs[0]
    issue = Issue.objects.filter(account=limit.account_id).select_related("project").first()
    asked = Request.objects.filter(project=project, limit=limit)
    over = asked.exclude(answered_at=None, withdrawn_at=None).count()
    alone = Assignment.objects.filter(run=first, issue=issue).first() if len(shortage.runs) == 1 else None
    request = requests.open(
        Request.Kind.BUDGET,
        issue or project,
        key=f"budget:{project.pk}:{limit.pk}:{over}",
        task=alone.task if alone else None,
        agent=first.agent,
        limit=limit,
        resets_at=shortage.standing.period_end,
        question=shortage.question,
        detail=shortage.detail,
        options=shortage.options,
        default=RAISE,
    )
    if request.question != shortage.question:
        requests.reword(request, shortage.question, detail=shortage.detail, options=shortage.options)


@transaction.atomic
def settle(request: Request) -> None:
    """Do what a person answered, once, for all runs that wait for the limit."""
    answered = Request.objects.filter(pk=request.pk, answered_at__isnull=False, handled=False)
    if not answered.update(handled=True):
        return
    concerned = Issue.objects.filter(project=request.project_id, account__in=_waiting_for(request).values("accounts"))
    for key in list(concerned.values_list("pk", flat=True)):
        news.ring(key)
    ANSWERS[request.answer](request)
    ask_for(_project(request))


def unsettled() -> QuerySet[Request]:
    """Return the answers about money that nobody acted on yet."""
    answered = Request.objects.filter(kind=Request.Kind.BUDGET, answered_at__isnull=False, handled=False)
    return answered.select_related("project__account", "issue", "limit__account", "answered_by")


def _waiting_for(request: Request) -> QuerySet[Run]:
    return waiting(_project(request)).filter(short_of=request.limit_id)


def _project(request: Request) -> Project:
    assert request.project is not None  # questions about money are of one
    return request.project


def _raise(request: Request) -> None:
    if request.limit is not None:
        more = requests.amount_of_money(request.answer_text)
        accounts.raise_limit(request.limit, more, user=request.answered_by)
        wake_waiting()


def _wait(request: Request) -> None:
    """Nothing: `ask_for` asks no more in this period, and the clock wakes who waits when the next one begins."""


def _cancel(request: Request) -> None:
    """End the runs that wait. A task of which one was goes with it, and an issue that has no plan yet."""
    short = list(_waiting_for(request))
    work = Assignment.objects.filter(run__in=short).select_related("task__issue__project", "run")
    keys = work.order_by("issue").values_list("issue", flat=True)
    concerned = Issue.objects.select_for_update(of=("self",)).select_related("project").filter(pk__in=list(keys))
    by_key = {issue.pk: issue for issue in concerned.order_by("pk")}
    for run in short:
        stop(run)
    for assignment in work:
        issue, task = by_key[assignment.issue_id], assignment.task
        if task is not None and task.is_open:
            issues.close_task(task, user=request.answered_by, reason=NO_MONEY)
        elif task is None and issue.is_open:
            issues.close(issue, user=request.answered_by, reason=NO_MONEY)


ANSWERS: dict[str, Callable[[Request], None]] = {RAISE: _raise, WAIT: _wait, CANCEL: _cancel}


def wake_waiting(*, at: datetime | None = None) -> int:
    """Let the runs go on that waited for money and whose accounts have what they need; return how many.

    ``at`` is now, except in tests.
    """
    short = Run.objects.filter(status=Run.Status.WAITING, waits_for=BUDGET).select_related("agent__account")
    return len([run for run in short.order_by("pk") if _has_enough(run, at) and runs.wake(run)])


def _has_enough(run: Run, at: datetime | None) -> bool:
    left = ledger.headroom(_charged(run), at=at)
    return left is None or left >= (run.needs_nanousd or 1)


def stop(run: Run) -> bool:
    """End a run that waits for money for want of it. False: it does not wait any more."""
    short = Run.objects.filter(pk=run.pk, status=Run.Status.WAITING, waits_for=BUDGET)
    return runs.conclude(short, Outcome.BUDGET, run.outcome_detail)


def _rounded_up(amount_nanousd: int) -> int:
    """Return the next of 1, 2, 5, 10, 20, … cents that is not less."""
    step = NANOUSD // 100
    while True:
        for factor in (1, 2, 5):
            if factor * step >= amount_nanousd:
                return factor * step
        step *= 10


def _name(account: Account) -> str:
    """Return the account as people call it: the company, project Atlas, all coders."""
    if account.kind == Account.Kind.GLOBAL:
        return "the company"
    if account.kind == Account.Kind.AGENT_TYPE:
        return f"all {account.name}s"
    return f"{Account.Kind(account.kind).label.lower()} {account.name}"
