"""What the company concludes from a run that has ended."""

from agents.models import Outcome, Purpose, Run
from mcc.core import errands
from projects import workflow
from projects.models import Assignment, Issue, PullRequest, Request, TaskStatus
from projects.services import coding, requests, staffing

WHY = {
    Outcome.SUBMITTED: "it said it was done, but handed nothing in.",
    Outcome.NO_CHANGE: "it found nothing to change.",
    Outcome.STUCK: "it repeated itself without getting on.",
    Outcome.LIMIT_STEPS: "it used up its steps.",
    Outcome.LIMIT_COST: "it used up the money for one run.",
    Outcome.LIMIT_TIME: "it used up its working time.",
    Outcome.LIMIT_WINDOW: "what it must know does not fit into the window of its model.",
    Outcome.BUDGET: "the budget did not allow another call.",
    Outcome.FORMAT: "the model kept answering in a form that could not be used.",
    Outcome.PROVIDER: "the model provider failed.",
    Outcome.SANDBOX: "no sandbox could be had.",
    Outcome.CANCELLED: "somebody cancelled it.",
    Outcome.CRASHED: "it crashed, which is a fault of Mission Control.",
}


def conclude(issue: Issue) -> None:
    """Draw the conclusions from every run of ``issue`` that ended and was not looked at yet."""
    ended = issue.assignments.filter(handled=False, run__status=Run.Status.FINISHED)
    for assignment in ended.select_related("run__agent", "task__issue__project", "issue__project"):
        assignment.handled = True
        assignment.save(update_fields=["handled"])
        if _is_moot(assignment):
            continue
        if _handed_in(assignment):
            _take_over(assignment)
        else:
            _ask_what_to_do(assignment)


def why(run: Run) -> str:
    """Return, as the end of a sentence about it, why ``run`` ended."""
    sentence = WHY[Outcome(run.outcome)]
    return f"{sentence} {run.outcome_detail}".strip()


def _is_moot(assignment: Assignment) -> bool:
    """Whether nobody waits for this run any more: the work was cancelled, or moved on without it."""
    if assignment.task is None:
        return not assignment.issue.is_open
    if assignment.run.purpose in (Purpose.TEST, Purpose.REVIEW):
        head = PullRequest.objects.filter(task=assignment.task).values_list("head_sha", flat=True).first()
        return not assignment.task.is_open or assignment.head_sha != head
    return assignment.task.status != TaskStatus.CODING


def _handed_in(assignment: Assignment) -> bool:
    return assignment.run.outcome == Outcome.SUBMITTED and bool(assignment.submitted_key)


def _take_over(assignment: Assignment) -> None:
    """Move code on to its test. Plans and votes are rows already, on which the next look decides."""
    task = assignment.task
    if task is not None and assignment.run.purpose in coding.CODING_PURPOSES:
        workflow.move_task(task, TaskStatus.TESTING, actor=assignment.run.agent, reason="work handed in")


def _ask_what_to_do(assignment: Assignment) -> None:
    run, task = assignment.run, assignment.task
    if run.purpose in coding.CODING_PURPOSES:
        errands.post("projects.keep_work", assignment.pk)
    subject = f"task {task.title!r}" if task else f"the plan of {assignment.issue.key}"
    purpose = Purpose(run.purpose).label.lower()
    options = [staffing.AGAIN, staffing.CANCEL_TASK, staffing.CANCEL_ISSUE]
    requests.open(
        Request.Kind.BLOCKED,
        assignment.issue,
        key=f"run:{run.pk}",
        task=task,
        run=run,
        agent=run.agent,
        question=f"{run.agent.name} could not finish ({purpose}) {subject}: {why(run)}",
        options=options if task else [staffing.AGAIN, staffing.CANCEL_ISSUE],
        default=staffing.AGAIN.value,
    )
