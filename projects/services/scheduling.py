"""The company's one reconciler: look at an issue's rows and do the next thing.

Every answer, finished run, finished errand and person's click only rings it, and so does a schedule each minute. It is
level-triggered: called twice, at once or a day late, it does the same.
"""

import logging
from collections.abc import Sequence

from django.db import transaction

from agents.models import Purpose, Run
from agents.services import runs
from projects import workflow
from projects.models import (
    Check,
    Issue,
    IssueStatus,
    PullRequest,
    Request,
    Task,
    TaskStatus,
    Transition,
    Vote,
)
from projects.services import (
    answers,
    checks,
    coding,
    endings,
    feedback,
    issues,
    judging,
    merging,
    money,
    outside,
    outside_checks,
    planning,
    proof,
    requests,
    staffing,
)
from projects.services.proof import Standing

logger = logging.getLogger(__name__)

MOST_LOOKS = 12
"""Looks in one go. What is left after so many is done at the next ring."""
REASONS = {
    IssueStatus.IMPLEMENTATION: "a task is being coded",
    IssueStatus.TESTING: "everything is coded",
    IssueStatus.REVIEW: "no task is left to test",
    IssueStatus.DONE: "every task is merged",
}
ANSWER = "answer"
"""What a run waits for that asked a question (``Run.waits_for``)."""
AT_WORK = (IssueStatus.IMPLEMENTATION, IssueStatus.TESTING, IssueStatus.REVIEW)


def advance(issue_id: int) -> None:
    """Do everything for the issue that can be done now. Returns when only waiting is left."""
    for _ in range(MOST_LOOKS):
        with transaction.atomic():
            issue = Issue.objects.select_for_update(of=("self",)).select_related("project", "account").get(pk=issue_id)
            moves = Transition.objects.filter(issue=issue).count()
            _look(issue)
            if Transition.objects.filter(issue=issue).count() == moves:
                return
    logger.warning("issue %s keeps moving", issue_id)


def _look(issue: Issue) -> None:
    answers.act_on(issue)
    endings.conclude(issue)
    if not issue.is_open or issue.started_at is None or staffing.is_stopped(issue):
        return
    _see_to_waiting_runs(issue)
    if issue.status == IssueStatus.NEW:
        workflow.move_issue(issue, IssueStatus.PLANNING, reason="work starts")
    if issue.status == IssueStatus.PLANNING:
        planning.look(issue)
    if issue.status in AT_WORK:
        _work_on(issue)


def _see_to_waiting_runs(issue: Issue) -> None:
    """Wake whoever has the answer now, and ask for money for those that have none."""
    for run in Run.objects.filter(status=Run.Status.WAITING, requests__issue=issue).distinct():
        if run.waits_for == ANSWER and not Request.objects.open().filter(run=run).exists():
            runs.wake(run)
    money.ask_for(issue.project)
    requests.refresh_blocked(issue)


def _work_on(issue: Issue) -> None:
    for task in issue.tasks.select_related("assignee", "issue__project", "pull_request"):
        LOOKS[TaskStatus(task.status)](task)
    coding.begin_ready(issue)
    phase = workflow.phase_of(issue.tasks.values_list("status", flat=True))
    if phase == IssueStatus.CANCELLED:
        issues.close(issue, reason="every task was given up")
    elif phase != issue.status:
        workflow.move_issue(issue, phase, reason=REASONS[phase])
    if phase == IssueStatus.DONE:
        issues.complete(issue)


def _look_at_coding(task: Task) -> None:
    """Start the run that could not be started at once. One that ended is the business of ``endings``."""
    if coding.in_this_round(task) is None:
        coding.start_round(task)


def _look_at_testing(task: Task) -> None:
    pull = _pull_of(task)
    rows = checks.order(pull)
    if any(check.status in checks.UNFINISHED for check in rows):
        return
    standing = proof.standing(pull)
    if not standing.checks_passed:
        _see_to_red(pull, rows)
    elif standing.rejected:
        coding.send_back(task, "the Tester rejected it")
    elif wanted := _wanted(task):
        _send_back_for(wanted, task)
    elif standing.outside_red:
        outside_checks.have_mended(pull)
    elif standing.tested:
        workflow.move_task(task, TaskStatus.REVIEW, reason=_why_tested(standing))
    elif judging.latest(pull, Purpose.TEST) is None:
        judging.begin_test(task)


def _see_to_red(pull: PullRequest, rows: Sequence[Check]) -> None:
    """Once all are over: ask about those that could not run, else send it back when nobody is judging it any more."""
    if any(check.status in checks.UNFINISHED for check in rows):
        return
    if any(check.status == Check.Status.ERROR for check in rows):
        _ask_about_checks(pull)
    elif not judging.is_under_way(pull.task):
        coding.send_back(pull.task, "checks are red")


def _look_at_review(task: Task) -> None:
    pull = _pull_of(task)
    standing = proof.standing(pull)
    if not standing.checks_passed:  # somebody had them run once more
        _see_to_red(pull, checks.order(pull))
    elif standing.rejected:
        by_person = standing.person is not None and standing.person.verdict == "reject"
        coding.send_back(task, "a person sent it back" if by_person else "the Reviewer requests changes")
    elif wanted := _wanted(task):
        _send_back_for(wanted, task)
    elif outside.was_moved(task):
        return
    elif standing.outside_red:
        outside_checks.have_mended(pull)
    elif standing.may_merge:
        _let_merge(pull, standing.person)
    elif standing.reviewed:
        _open_for_merge(pull)
    elif judging.latest(pull, Purpose.REVIEW) is None:
        judging.begin_review(task)


def _look_at_merging(task: Task) -> None:
    """Past this point a merge may be on its way already: where it was faster, it is written down as what happened."""
    pull = _pull_of(task)
    if wanted := _wanted(task):
        _send_back_for(wanted, task)
    elif outside.was_moved(task):
        return
    elif proof.is_red_outside(pull):
        outside_checks.have_mended(pull)
    elif proof.is_taken_back(pull):
        workflow.move_task(task, TaskStatus.REVIEW, reason="its approval does not hold any more")
    else:
        merging.order(pull)


def _wanted(task: Task) -> str:
    """Return that somebody wants the task changed and waits for it, and who; "" when nobody does."""
    return feedback.reason(feedback.waiting(task))


def _send_back_for(wanted: str, task: Task) -> None:
    """Send it back once nobody is judging it and no question about it is open, whose findings would come too late."""
    asked = Request.objects.open().filter(task=task, kind=Request.Kind.BLOCKED).exists()
    if not judging.is_under_way(task) and not asked:
        coding.send_back(task, wanted, wished=True)


def _nothing(task: Task) -> None:
    """Pending tasks are looked at together, settled ones not at all."""


LOOKS = {
    TaskStatus.PENDING: _nothing,
    TaskStatus.CODING: _look_at_coding,
    TaskStatus.TESTING: _look_at_testing,
    TaskStatus.REVIEW: _look_at_review,
    TaskStatus.MERGING: _look_at_merging,
    TaskStatus.MERGED: _nothing,
    TaskStatus.CANCELLED: _nothing,
}


def _pull_of(task: Task) -> PullRequest:
    """Return the pull request with the rows around it that deciding needs, loaded already."""
    pull = task.pull_request
    pull.task, pull.issue, pull.project = task, task.issue, task.issue.project
    return pull


def _let_merge(pull: PullRequest, person: Vote | None) -> None:
    """Send it on its way. The question whether to, if it is open, is answered by a vote that was given elsewhere."""
    if person is None:
        workflow.move_task(pull.task, TaskStatus.MERGING)
    else:
        where = f"{person.author} approved it on {pull.project.get_forge_display()}" if person.reference else ""
        workflow.move_task(pull.task, TaskStatus.MERGING, actor=person.user, reason=where)
    requests.withdraw(Request.objects.filter(task=pull.task, kind=Request.Kind.MERGE))


def _open_for_merge(pull: PullRequest) -> None:
    if pull.status == PullRequest.Status.DRAFT:
        pull.status = PullRequest.Status.OPEN
        pull.save(update_fields=["status"])
    merging.seek_approval(pull)


def _why_tested(standing: Standing) -> str:
    checked = "checks are green" if standing.checks else "no checks"
    return f"{checked}, {'the Tester passed it' if standing.needs_tester else 'no Tester (fast lane)'}"


def _ask_about_checks(pull: PullRequest) -> None:
    broken = checks.on(pull, Check.On.HEAD, pull.head_sha).filter(status=Check.Status.ERROR)
    names = ", ".join(broken.values_list("name", flat=True))
    newest = broken.order_by("-pk").values_list("pk", flat=True)[0]
    requests.open(
        Request.Kind.BLOCKED,
        pull.issue,
        key=f"{requests.BROKEN_CHECK}{newest}",
        task=pull.task,
        pull_request=pull,
        question=f"Mission Control could not run {names} on #{pull.number} {pull.title!r}.",
        detail="\n\n".join(broken.values_list("log", flat=True)),
        options=[staffing.AGAIN, staffing.CANCEL_TASK, staffing.CANCEL_ISSUE],
        default=staffing.AGAIN.value,
    )
