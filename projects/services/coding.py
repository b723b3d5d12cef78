"""A task's code: who writes it and when, and how it goes back."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q

from agents.models import Purpose, Role, Run
from agents.services import runs
from projects import orders, workflow
from projects.models import Assignment, Issue, OutsideCheck, Project, PullRequest, Request, Task, TaskStatus
from projects.services import feedback, news, proof, requests, staffing
from projects.services.requests import Option

SETTLED = (TaskStatus.MERGED, TaskStatus.CANCELLED)
UNMERGED = (TaskStatus.CODING, TaskStatus.TESTING, TaskStatus.REVIEW, TaskStatus.MERGING)
WITHOUT = Option(proof.WITHOUT, "Go on without it")
MOST_TOLD = 5
ROUND_MORE = (staffing.AGAIN, staffing.CANCEL_TASK, staffing.CANCEL_ISSUE)
CODING_PURPOSES = (Purpose.IMPLEMENT, Purpose.FIX, Purpose.RESOLVE)


@dataclass(frozen=True)
class Conflict:
    """A branch that does not merge into its base, now at ``base_sha``, any more."""

    files: tuple[str, ...]
    base_sha: str


def begin_ready(issue: Issue) -> None:
    """Put a free Coder to every task of ``issue`` that is ready, up to as many as the project lets code at once.

    Locks the project row: two issues must not take the same place or touch the same files.
    """
    pending = [task for task in issue.tasks.filter(status=TaskStatus.PENDING) if may_start(task)]
    if not pending:
        return
    project = Project.objects.select_for_update().get(pk=issue.project_id)
    unmerged = list(Task.objects.filter(issue__project=project, status__in=UNMERGED))
    coding = sum(task.status == TaskStatus.CODING for task in unmerged)
    for task in pending:
        if coding >= project.parallel_coders:
            return
        if any(overlap(task, other) for other in unmerged):
            continue
        coder = staffing.free(project, Role.CODER)
        if coder is None:
            staffing.someone(issue, Role.CODER)
            return
        task.assignee = coder
        task.save(update_fields=["assignee"])
        workflow.move_task(task, TaskStatus.CODING, reason=f"{coder.name} is free")
        start_round(task)
        unmerged.append(task)
        coding += 1


def may_start(task: Task) -> bool:
    """Whether all that ``task`` builds on is merged. When some of it was given up, a person decides, asked once."""
    missing = task.depends_on.exclude(status=TaskStatus.MERGED)
    if missing.exclude(status=TaskStatus.CANCELLED).exists():
        return False
    titles = list(missing.values_list("title", flat=True))
    return not titles or _go_on_without(task, titles)


def _go_on_without(task: Task, titles: Sequence[str]) -> bool:
    given_up = ", ".join(f"“{title}”" for title in titles)
    request = requests.open(
        Request.Kind.BLOCKED,
        task.issue,
        key=f"without:{task.pk}",
        task=task,
        question=f"“{task.title}” builds on {given_up}, which was given up. What now?",
        options=[WITHOUT, staffing.CANCEL_TASK, staffing.CANCEL_ISSUE],
        default=staffing.CANCEL_TASK.value,
    )
    return request.answer == WITHOUT.value


def overlap(task: Task, other: Task) -> bool:
    """Whether the plan expects both to change a file. Who names no file is taken at their word.

    Until ``other`` is merged, ``task`` would start from the file as it was, and one of them would have to resolve it.
    """
    return bool(set(task.files) & set(other.files))


def start_round(task: Task, conflict: Conflict | None = None) -> None:
    """Order what this round of the task is about: to do it, to resolve a conflict, or to mend what was found."""
    if conflict is not None:
        order = orders.resolve(task, conflict.files, task.issue.project.default_branch)
        _start_run(task, Purpose.RESOLVE, order, merge_sha=conflict.base_sha)
    elif task.rework:
        _start_run(task, Purpose.FIX, orders.fix(task, proof.findings(task.pull_request, feedback.of_round(task))))
    else:
        _start_run(task, Purpose.IMPLEMENT, orders.implement(task))


def go_on(task: Task, why: str) -> None:
    """Have the Coder continue after a run that ended early, for the purpose of that run."""
    last = in_this_round(task)
    if last is None:
        start_round(task)
    else:
        _start_run(task, Purpose(last.run.purpose), orders.go_on(task, why), merge_sha=last.head_sha)


def in_this_round(task: Task) -> Assignment | None:
    """Return the last run that wrote code in this round of the task, if there was one."""
    rounds = task.assignments.filter(run__purpose__in=CODING_PURPOSES, run__trace__mcc_round=str(task.rework))
    return rounds.select_related("run").last()


def send_back(
    task: Task, reason: str, *, conflict: Conflict | None = None, however_often: bool = False, wished: bool = False
) -> None:
    """Give the task back to its Coder with all findings at once, or ask a person when it came back too often.

    ``however_often``: whoever sends it back has asked already, if that was needed. ``wished``: only what people at the
    forge want is the reason, and they may withdraw it.
    """
    too_often = task.rework >= task.issue.project.max_rework and not however_often
    if too_often and not _may_go_on(task):
        _ask_whether_to_go_on(task, reason, key=requests.key_below(_wish(task)) if wished else _key(task))
        return
    task.rework += 1
    task.save(update_fields=["rework"])
    if conflict is None:
        feedback.take(task)
    workflow.move_task(task, TaskStatus.CODING, reason=reason)
    requests.withdraw(Request.objects.filter(task=task, kind=Request.Kind.MERGE))
    PullRequest.objects.filter(pk=task.pull_request.pk).update(status=PullRequest.Status.DRAFT)
    news.pull_changed(task.pull_request)
    start_round(task, conflict)


def _start_run(task: Task, purpose: Purpose, order: str, *, merge_sha: str = "") -> None:
    """Give the Coder of ``task`` an order, in the conversation they know it from.

    Nothing happens while that conversation is at work, or when nobody is there to do it (a person is asked then);
    the next look tries again.
    """
    conversation, coder = task.conversation, task.assignee
    if coder is None or not coder.active:
        coder, conversation = staffing.someone(task.issue, Role.CODER), None
    if coder is None or (conversation is not None and conversation.runs.filter(status__in=Run.OPEN).exists()):
        return
    assignment = staffing.begin(
        task.issue,
        coder,
        purpose,
        order,
        workplace=f"task:{task.pk}",
        task=task,
        conversation=conversation,
        head_sha=merge_sha,
    )
    if task.conversation_id != assignment.run.conversation_id or task.assignee_id != coder.pk:
        task.conversation, task.assignee = assignment.run.conversation, coder
        task.save(update_fields=["conversation", "assignee"])


def tell_of_ci(task: Task, red: Sequence[OutsideCheck]) -> None:
    """Let the Coder who is at work on ``task`` hear at the next step what CI says only now of the commit to mend.

    A few times in a run: who else it comes too late for reads it in the next order.
    """
    last = in_this_round(task)
    if task.status != TaskStatus.CODING or last is None or not last.run.is_open or last.submitted_key:
        return
    if last.run.messages.filter(content__startswith=orders.NEWS_OF_CI).count() < MOST_TOLD:
        runs.say(last.run.conversation, f"{orders.NEWS_OF_CI}\n\n{orders.outside(red)}")


def _key(task: Task) -> str:
    return f"rework:{task.pk}:{task.rework}"


def _wish(task: Task) -> str:
    return f"{_key(task)}:wish"


def _may_go_on(task: Task) -> bool:
    about = Q(key=_key(task)) | Q(key__startswith=f"{_wish(task)}:")
    return Request.objects.filter(about, answer=staffing.AGAIN.value).exists()


def wishes_changed(task: Task) -> None:
    """Let the question whether to go on with ``task``, asked only for what people want, say who still wants what.

    It goes when nobody does.
    """
    asked = Request.objects.open().filter(task=task, key__startswith=f"{_wish(task)}:")
    wishes = list(feedback.waiting(task))
    if not wishes:
        requests.withdraw(asked)
        return
    for request in asked.select_related("issue", "project"):
        question, detail = _whether_to_go_on(task, feedback.reason(wishes)), proof.findings(task.pull_request, wishes)
        if (request.question, request.detail) != (question, detail):
            requests.reword(request, question, detail=detail, options=ROUND_MORE)


def _ask_whether_to_go_on(task: Task, reason: str, *, key: str) -> None:
    requests.open(
        Request.Kind.BLOCKED,
        task.issue,
        key=key,
        task=task,
        pull_request=task.pull_request,
        question=_whether_to_go_on(task, reason),
        detail=proof.findings(task.pull_request, feedback.waiting(task)),
        options=ROUND_MORE,
        default=staffing.AGAIN.value,
    )


def _whether_to_go_on(task: Task, reason: str) -> str:
    return f"{task.title!r} came back {task.rework} times, and again: {reason}. How shall it go on?"
