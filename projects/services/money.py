"""When a run has to wait for money: asking for more, and going on when there is some."""

from agents.models import Outcome, Run
from agents.services import runs
from budgets.models import Account, Limit
from budgets.queries import Standing, standings
from budgets.services import accounts, ledger
from mcc.core.money import usd_display
from projects.models import Assignment, Issue, Request
from projects.services import requests
from projects.services.requests import Option

BUDGET = "budget"
"""What a run waits for when a hold did not fit (``Run.waits_for``)."""
RAISE = Option("raise", "Add money (say how much, in USD)", wants_text=True)
STOP = Option("stop", "Stop this work")


def accounts_of(issue: Issue, assignment: Assignment) -> list[Account]:
    """Return all accounts that the run is charged to, from the narrowest to the widest."""
    agent = assignment.run.agent
    return [
        issue.account,
        issue.project.account,
        agent.account,
        accounts.agent_type_account(agent.role),
        accounts.global_account(),
    ]


def shortest(candidates: list[Account]) -> Standing | None:
    """Return the blocking limit with the least left, or None when nothing limits these accounts."""
    blocking = [standing for account in candidates for standing in standings(account) if standing.blocks]
    return min(blocking, key=lambda standing: standing.remaining_nanousd, default=None)


def ask(issue: Issue, assignment: Assignment) -> Request:
    """Ask a person for money for a waiting run. Asked once until the question is answered or void."""
    run = assignment.run
    asked = Request.objects.filter(run=run, kind=Request.Kind.BUDGET)
    over = asked.exclude(answered_at=None, withdrawn_at=None).count()
    short = shortest(accounts_of(issue, assignment))
    question = f"{run.agent.name} has no money left for {issue.key}."
    if short is not None:
        limit = short.limit
        spent = f"{usd_display(short.spent_nanousd)} of {usd_display(limit.amount_nanousd)}"
        question = f"{question} The {limit.period} limit of {limit.account.name} is short: {spent} spent."
    return requests.open(
        Request.Kind.BUDGET,
        issue,
        key=f"budget:{run.pk}:{over}",
        task=assignment.task,
        run=run,
        agent=run.agent,
        question=question,
        detail=run.outcome_detail,
        options=[RAISE, STOP],
        default=RAISE.value,
    )


def raise_limit(issue: Issue, assignment: Assignment, extra_nanousd: int) -> Limit | None:
    """Add ``extra_nanousd`` to the limit that is short. None when nothing limits the run any more."""
    short = shortest(accounts_of(issue, assignment))
    if short is None:
        return None
    limit = short.limit
    return accounts.set_limit(
        limit.account,
        limit.amount_nanousd + extra_nanousd,
        period=limit.period,
        action=limit.action,
        warn_ratio=limit.warn_ratio,
    )


def wake_waiting() -> int:
    """Let the runs go on that waited for money and whose accounts have what they need; return how many."""
    waiting = Run.objects.filter(status=Run.Status.WAITING, waits_for=BUDGET).select_related("agent__account")
    woken = [run for run in waiting if _has_enough(run) and runs.wake(run)]
    return len(woken)


def _has_enough(run: Run) -> bool:
    agent = run.agent
    own = [agent.account, accounts.agent_type_account(agent.role), accounts.global_account()]
    left = ledger.headroom([*run.accounts.all(), *own])
    return left is None or left >= (run.needs_nanousd or 1)


def end_unless_asked(run: Run) -> None:
    """End a run of the company that waits for money and belongs to no issue: nobody could be asked for it."""
    ours = run.workplace.partition(":")[0] in ("project", "issue", "task")
    if ours and run.waits_for == BUDGET and not Assignment.objects.filter(run=run).exists():
        stop(run)


def stop(run: Run) -> bool:
    """End a run that waits for money for want of it. False: it does not wait any more."""
    waiting = Run.objects.filter(pk=run.pk, status=Run.Status.WAITING, waits_for=BUDGET)
    return runs.conclude(waiting, Outcome.BUDGET, run.outcome_detail)
