"""What the company does when a person has answered."""

from agents.models import Purpose
from mcc.core.models import User
from projects.models import Issue, Request, TaskStatus, Vote
from projects.services import (
    aftercare,
    checks,
    coding,
    endings,
    issues,
    judging,
    merging,
    planning,
    proof,
    requests,
    staffing,
    supply,
)

ACCEPT = "approve"
REJECT = "reject"


def give(request: Request, *, user: User, choice: str, text: str = "") -> Request:
    """Take an answer from wherever a person gave it. Raises what ``requests.answer`` and ``supply.answer`` raise."""
    if request.kind == Request.Kind.PROVIDER:
        return supply.answer(request, user=user, choice=choice)
    return requests.answer(request, user=user, choice=choice, text=text)


def act_on(issue: Issue) -> None:
    """Act on every answer that was not acted on yet, in the order in which they were given.

    Those about money are for more than this issue, and acted on by ``money.settle``.
    """
    answered = Request.objects.filter(issue=issue, answered_at__isnull=False, handled=False)
    answered = answered.exclude(kind=Request.Kind.BUDGET)
    for request in answered.select_related("task__issue__project", "pull_request", "run").order_by("answered_at"):
        request.handled = True
        request.save(update_fields=["handled"])
        issue.refresh_from_db(fields=["status"])
        if issue.is_open:
            HANDLERS[Request.Kind(request.kind)](issue, request)


def _plan(issue: Issue, request: Request) -> None:
    if request.answer == planning.APPROVE.value:
        planning.approve(issue)
    elif request.answer == planning.REVISE.value:
        planning.begin(issue, text=request.answer_text)
    else:
        issues.close(issue, user=request.answered_by, reason="the plan was declined")


def _merge(issue: Issue, request: Request) -> None:
    """Turn the answer into the person's vote on the merge that was shown; the next look counts the votes."""
    pull = request.pull_request
    if pull is None or request.answered_by is None:
        return
    approves = request.answer == ACCEPT
    proof.cast(
        pull,
        Vote.Kind.PERSON,
        Vote.Verdict.APPROVE if approves else Vote.Verdict.REJECT,
        head_sha=merging.head_of(request),
        base_branch=pull.base_branch if merging.asks_about_base_of(request, pull) else "",
        user=request.answered_by,
        summary=request.answer_text,
    )


def _question(issue: Issue, request: Request) -> None:
    """Nothing: the run that asked is woken by the scheduler, and reads the answer itself."""


def _blocked(issue: Issue, request: Request) -> None:
    if request.answer == aftercare.REVERT.value:
        aftercare.order(issue)
    elif request.answer == staffing.CANCEL_ISSUE.value:
        issues.close(issue, user=request.answered_by, reason=request.answer_in_words)
    elif request.answer == staffing.CANCEL_TASK.value and request.task is not None:
        if request.task.is_open:
            issues.close_task(request.task, user=request.answered_by, reason=request.answer_in_words)
    else:
        _try_again(issue, request)


def _try_again(issue: Issue, request: Request) -> None:
    """Start anew what had failed. A round more of rework needs nothing here: the next look sees the answer."""
    task, run = request.task, request.run
    if run is None:
        if request.pull_request is not None:
            checks.again(request.pull_request)
        return
    purpose = Purpose(run.purpose)
    if purpose == Purpose.PLAN:
        planning.begin(issue)
    elif task is None or not task.is_open:
        return
    elif purpose == Purpose.TEST:
        judging.begin_test(task)
    elif purpose == Purpose.REVIEW:
        judging.begin_review(task)
    elif task.status == TaskStatus.CODING:
        coding.go_on(task, endings.why(run))


HANDLERS = {
    Request.Kind.PLAN: _plan,
    Request.Kind.MERGE: _merge,
    Request.Kind.QUESTION: _question,
    Request.Kind.BLOCKED: _blocked,
}
