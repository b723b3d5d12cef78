"""When a run has to wait for money: asking for more, and going on when there is some."""

from budgets.models import Account, Limit
from budgets.queries import Standing, standings
from budgets.services import accounts, ledger
from mcc.core.errors import InvalidInput
from mcc.core.money import nanousd, usd_display
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
    blocking = [
        standing
        for account in candidates
        for standing in standings(account)
        if standing.limit.action == Limit.Action.BLOCK
    ]
    return min(blocking, key=_left, default=None)


def ask(issue: Issue, assignment: Assignment) -> Request:
    """Ask a person for money for a waiting run. Asked once until answered."""
    run = assignment.run
    answered = Request.objects.filter(run=run, kind=Request.Kind.BUDGET, answered_at__isnull=False).count()
    short = shortest(accounts_of(issue, assignment))
    question = f"{run.agent.name} has no money left for {issue.key}."
    if short is not None:
        limit = short.limit
        spent = f"{usd_display(short.spent_nanousd)} of {usd_display(limit.amount_nanousd)}"
        question = f"{question} The {limit.period} limit of {limit.account.name} is short: {spent} spent."
    return requests.open(
        Request.Kind.BUDGET,
        issue,
        key=f"budget:{run.pk}:{answered}",
        task=assignment.task,
        run=run,
        agent=run.agent,
        question=question,
        detail=run.outcome_detail,
        options=[RAISE, STOP],
        default=RAISE.value,
    )


def amount(text: str) -> int:
    """Return the nano-dollars that a person wrote (``5``, ``$2.50``). Raises InvalidInput."""
    value = nanousd(text.strip().removeprefix("$").strip())
    if value <= 0:
        raise InvalidInput("Say a positive amount in USD.", fields={"text": ["A positive amount, as in 5 or 2.50."]})
    return value


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


def has_some(issue: Issue, assignment: Assignment) -> bool:
    """Whether anything is left on every limit: a waiting run may try again."""
    left = ledger.headroom(accounts_of(issue, assignment))
    return left is None or left > 0


def _left(standing: Standing) -> int:
    return standing.amount_nanousd - standing.spent_nanousd - standing.held_nanousd


