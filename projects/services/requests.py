"""Needs you: questions to people, their answers, and the flag that says that an issue waits for one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import transaction
from django.utils import timezone

from agents.models import Agent, Provider, Run
from budgets.models import Limit
from budgets.services.accounts import HIGHEST_NANOUSD
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User
from mcc.core.money import nanousd, usd_display, usd_string
from mcc.core.queue import enqueue
from projects.errors import RequestClosed
from projects.models import Issue, Project, PullRequest, Request, Task
from projects.models.request import RequestQuerySet
from projects.services import news
from projects.services.account_rights import require_account_manager
from projects.services.rights import require_administrator, require_decider
from projects.signals import request_answered, request_opened

STOPS_WORK = (Request.Kind.BLOCKED, Request.Kind.BUDGET, Request.Kind.QUESTION)
"""The kinds without whose answer work cannot go on. A plan or a merge that waits for approval is the normal course."""

BROKEN_CHECK = "check-error:"
"""What the key of a question begins with that is about checks which could not run."""


@dataclass(frozen=True)
class Option:
    """One way to answer. ``wants_text``: it says nothing without words. ``amount``: its words are an amount in USD,
    this one when there are none.
    """

    value: str
    label: str
    wants_text: bool = False
    amount: str = ""

    def as_json(self) -> dict[str, object]:
        return {"value": self.value, "label": self.label, "wants_text": self.wants_text, "amount": self.amount}


@transaction.atomic
def open(
    kind: Request.Kind,
    about: Issue | Project | Provider,
    *,
    key: str,
    question: str,
    options: Sequence[Option],
    default: str = "",
    detail: str = "",
    task: Task | None = None,
    pull_request: PullRequest | None = None,
    run: Run | None = None,
    agent: Agent | None = None,
    limit: Limit | None = None,
    resets_at: datetime | None = None,
) -> Request:
    """Return the request ``key``, asked now unless it was asked before. Listeners hear ``request_opened``.

    ``about`` a project are only questions about money that several of its issues share, about a provider only those
    that its administrators are asked when nobody can use it.
    """
    issue = about if isinstance(about, Issue) else None
    provider = about if isinstance(about, Provider) else None
    request, is_new = Request.objects.get_or_create(
        key=key,
        defaults={
            "project": issue.project if issue else about if isinstance(about, Project) else None,
            "issue": issue,
            "provider": provider,
            "task": task,
            "pull_request": pull_request,
            "run": run,
            "agent": agent,
            "limit": limit,
            "resets_at": resets_at,
            "kind": kind,
            "question": question,
            "detail": detail,
            "options": [option.as_json() for option in options],
            "default": default,
        },
    )
    if is_new:
        news.request_changed(request)
        if issue is not None:
            refresh_blocked(issue)
        transaction.on_commit(partial(request_opened.send_robust, Request, request=request))
    return request


def key_below(prefix: str) -> str:
    """Return a key that asks what is known by ``prefix`` once, and once more whenever it was withdrawn meanwhile."""
    return f"{prefix}:{Request.objects.filter(key__startswith=f'{prefix}:', withdrawn_at__isnull=False).count()}"


def reword(request: Request, question: str, *, detail: str, options: Sequence[Option]) -> None:
    """Let an open question say how things stand by now. Runs in the caller's transaction."""
    request.question, request.detail = question, detail
    request.options = [option.as_json() for option in options]
    request.save(update_fields=["question", "detail", "options"])
    news.request_changed(request)


@transaction.atomic
def answer(request: Request, *, user: User, choice: str, text: str = "") -> Request:
    """Write down what ``user`` decided and wake the company.

    Raises NotAllowed, RequestClosed when somebody was faster, InvalidInput for a choice that was not offered or
    that says nothing without words. Listeners hear ``request_answered``.
    """
    _require_right(user, request)
    asked = Request.objects.select_for_update(of=("self",))
    request = asked.select_related("issue__project", "project", "limit__account").get(pk=request.pk)
    if not request.is_open:
        raise RequestClosed("This question is answered already, or void because the work moved on.")
    offered = {option["value"]: option for option in request.options}
    if choice not in offered:
        raise InvalidInput("This answer was not offered.", fields={"choice": [f"One of {', '.join(offered)}."]})
    if offered[choice].get("wants_text") and not text.strip():
        raise InvalidInput("Say what you mean.", fields={"text": ["This answer needs words."]})
    if proposed := str(offered[choice].get("amount") or ""):
        text = _amount(request, user, text.strip() or proposed)
    request.answer, request.answer_text = choice, text.strip()
    request.answered_by, request.answered_at = user, timezone.now()
    request.save(update_fields=["answer", "answer_text", "answered_by", "answered_at"])
    audit.record(user, f"projects.answer_{request.kind}", f"projects.request:{request.pk}", {"choice": choice})
    news.request_changed(request)
    if request.kind == Request.Kind.BUDGET:
        enqueue("projects.tasks.settle_shortage", request.pk)
    if request.issue is not None:
        refresh_blocked(request.issue)
        news.ring(request.issue.pk)
    transaction.on_commit(partial(request_answered.send_robust, Request, request=request))
    return request


def _require_right(user: User, request: Request) -> None:
    if request.project is not None:
        require_decider(user, request.project)
    else:
        require_administrator(user)


def _amount(request: Request, user: User, text: str) -> str:
    """Return the amount in words, when it is one and ``user`` may change the limit that it is for."""
    amount = amount_of_money(text)
    if request.limit is not None:
        require_account_manager(user, request.limit.account)
        if request.limit.amount_nanousd + amount > HIGHEST_NANOUSD:
            raise InvalidInput(
                "So high can no limit be.", fields={"text": [f"A limit is {usd_display(HIGHEST_NANOUSD)} at most."]}
            )
    return f"${usd_string(amount)}"


def amount_of_money(text: str) -> int:
    """Return the nano-dollars that a person wrote (``5``, ``$2.50``). Raises InvalidInput."""
    value = nanousd(text.strip().removeprefix("$").strip())
    if value <= 0:
        raise InvalidInput("Say a positive amount in USD.", fields={"text": ["A positive amount, as in 5 or 2.50."]})
    return value


def withdraw(requests: RequestQuerySet) -> None:
    """Void the open ones of ``requests``: the work moved on without their answer. Runs in the caller's transaction."""
    for request in requests.open().select_related("issue__project", "project"):
        request.withdrawn_at = timezone.now()
        request.save(update_fields=["withdrawn_at"])
        news.request_changed(request)
        if request.issue is not None:
            refresh_blocked(request.issue)


def refresh_blocked(issue: Issue) -> None:
    """Let the issue's flag say whether a question stops its work."""
    blocked = issue.is_open and Request.objects.open().about(issue).filter(kind__in=STOPS_WORK).exists()
    if Issue.objects.filter(pk=issue.pk).exclude(blocked=blocked).update(blocked=blocked):
        issue.blocked = blocked
        news.issue_changed(issue)
