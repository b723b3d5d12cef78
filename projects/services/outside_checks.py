"""CI that is not ours: what the forge says of a commit is kept as evidence, and red sends the work back.

A round of rework takes what is red on the head once, however often and in whatever order it is heard of; the next round
needs a new commit. After ``MOST_FIXES`` of them, or as many of all kinds as the project allows, a person is asked.
Green and pending change nothing else: whether a merge needs them is for the forge's own rules.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F

from mcc.core import redaction
from projects import logs
from projects.forge import Awaited
from projects.instructions import shown
from projects.models import Issue, OutsideCheck, PullRequest, Request, Task
from projects.services import coding, judging, news, proof, requests, staffing

MOST_FIXES = 3
MOST_KEPT = 100
MOST_REQUIRED = 20
KEPT_CHARACTERS = 4_000
WORST_FIRST = (OutsideCheck.State.RED, OutsideCheck.State.PENDING, OutsideCheck.State.GREEN)


@dataclass(frozen=True)
class Report:
    """What one job says. ``url`` is on the forge's own site; ``address`` is anywhere. All words are untrusted."""

    source: str
    name: str
    state: OutsideCheck.State
    conclusion: str = ""
    url: str = ""
    address: str = ""
    output: str = ""


def state_of(checks: Sequence[OutsideCheck | Report]) -> OutsideCheck.State | None:
    """Return one state for all of them: the worst; None when there are none."""
    present = {check.state for check in checks}
    return next((state for state in WORST_FIRST if state in present), None)


@transaction.atomic
def take_note(pull: PullRequest, sha: str, reports: Sequence[Report]) -> None:
    """Keep ``reports`` as all that CI says of ``sha`` now, while it is the head of ``pull``. Again changes nothing."""
    issue = Issue.objects.select_for_update().get(pk=pull.issue_id)
    rows = PullRequest.objects.open().filter(pk=pull.pk, head_sha=sha)
    now = rows.select_related("issue__project").first()
    if now is None:
        return
    changed, news_of_red = _keep(now, _by_job(reports))
    if not changed:
        return
    if state_of(reports) != OutsideCheck.State.RED:
        requests.withdraw(Request.objects.filter(key=proof.outside_key(now)))
    if news_of_red:
        coding.tell_of_ci(issue.tasks.select_related("issue__project").get(pk=now.task_id), news_of_red)
    news.pull_changed(now)
    news.ring(issue.pk)


def by_name(wanted: Sequence[Awaited]) -> dict[str, list[str]]:
    """Return what the forge wants as it is kept: sources by the name of the check, of some checks at most."""
    return {_line(check.name, 200): [_line(each, 100) for each in check.sources] for check in wanted[:MOST_REQUIRED]}


@transaction.atomic
def require(pull: PullRequest, wanted: Sequence[Awaited]) -> None:
    """Keep ``wanted`` as what the forge wants now before it merges ``pull``. Again changes nothing."""
    required = [{"name": name, "sources": sources} for name, sources in by_name(wanted).items()]
    if pull.required != required:
        PullRequest.objects.filter(pk=pull.pk).update(required=required)
        pull.required = required
        news.pull_changed(pull)


def _by_job(reports: Sequence[Report]) -> dict[tuple[str, str], dict[str, str]]:
    """Return what to keep by source and name, the worst first; of two of a name the worse one counts."""
    wanted: dict[tuple[str, str], dict[str, str]] = {}
    for report in sorted(reports, key=lambda each: WORST_FIRST.index(each.state)):
        key = (_line(report.source, 100), _line(report.name, 200))
        if key not in wanted and len(wanted) < MOST_KEPT:
            wanted[key] = {
                "state": report.state,
                "conclusion": _line(report.conclusion, 40),
                "url": report.url if len(report.url) <= 500 else "",
                "address": _line(report.address, 500),
                "output": _bounded(report.output) if report.state == OutsideCheck.State.RED else "",
            }
    return wanted


def _keep(pull: PullRequest, wanted: dict[tuple[str, str], dict[str, str]]) -> tuple[bool, list[OutsideCheck]]:
    """Make the rows of the head be ``wanted``; return whether any was not, and those of them that are red now."""
    known = {(row.source, row.name): row for row in OutsideCheck.objects.of_head(pull)}
    changed = []
    for (source, name), facts in wanted.items():
        row = known.pop((source, name), None) or OutsideCheck(
            pull_request=pull, sha=pull.head_sha, source=source, name=name
        )
        if row.pk is None or any(getattr(row, field) != value for field, value in facts.items()):
            for field, value in facts.items():
                setattr(row, field, value)
            row.save()
            changed.append(row)
    for gone in known.values():
        gone.delete()
    return bool(changed or known), [row for row in changed if row.state == OutsideCheck.State.RED]


def _line(text: str, longest: int) -> str:
    return " ".join(redaction.redact(shown(redaction.redact(text))).split())[:longest]


def _bounded(text: str) -> str:
    """Return beginning and end of ``text`` without secrets, also those that hidden characters had parted."""
    return redaction.redact(shown(logs.ends(redaction.redact(text), KEPT_CHARACTERS)))


def have_mended(pull: PullRequest) -> None:
    """Send the task of ``pull`` back with what is red, or ask a person after too many rounds of that.

    Waits for whoever judges the head now: the Coder gets all findings at once. Runs in the scheduler's transaction.
    """
    task = pull.task
    if judging.is_under_way(task):
        return
    too_often = pull.outside_fixes >= MOST_FIXES or task.rework >= pull.project.max_rework
    if too_often and not _may_go_on(pull):
        _ask(task, pull)
        return
    PullRequest.objects.filter(pk=pull.pk).update(outside_fixes=F("outside_fixes") + 1)
    coding.send_back(task, "CI at the forge is red", however_often=True)


def _may_go_on(pull: PullRequest) -> bool:
    return Request.objects.filter(key=proof.outside_key(pull), answer=staffing.AGAIN.value).exists()


def _ask(task: Task, pull: PullRequest) -> None:
    requests.open(
        Request.Kind.BLOCKED,
        pull.issue,
        key=proof.outside_key(pull),
        task=task,
        pull_request=pull,
        question=f"CI is red on #{pull.number} {pull.title!r}, which came back {task.rework} times. What now?",
        detail=proof.findings(pull),
        options=[staffing.AGAIN, coding.WITHOUT, staffing.CANCEL_TASK, staffing.CANCEL_ISSUE],
        default=staffing.AGAIN.value,
    )
