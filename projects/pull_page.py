"""What the page of a pull request shows: where it stands with the quorum, its evidence, its files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from mcc.core import highlight
from mcc.core.highlight import FileDiff
from projects import diffs
from projects.diffs import FileChange
from projects.issue_page import of_head, outside_of, with_evidence
from projects.models import Check, Feedback, OutsideCheck, Project, PullRequest, Request, Vote
from projects.models.pull_request import Needed
from projects.services import outside_checks, proof

LINES_DRAWN = 1_500
"""Lines of diff in one page; the files after them are fetched when they come into view."""


@dataclass(frozen=True)
class Condition:
    """One thing that a merge needs. ``state`` is ok, bad, wait, or none where nothing was asked for."""

    name: str
    state: str
    words: str
    settings_url: str = ""
    """Where checks are added, if that is what is missing."""


@dataclass(frozen=True)
class FileBox:
    """A file of the diff. ``drawn`` is None while it has to be fetched."""

    index: int
    change: FileChange
    drawn: FileDiff | None

    @property
    def drawn_alone(self) -> list[FileDiff]:
        return [self.drawn] if self.drawn else []


@dataclass(frozen=True)
class PullPage:
    pull: PullRequest
    checks: Sequence[Check]
    outside: Sequence[OutsideCheck]
    feedback: Sequence[Feedback]
    votes: Sequence[Vote]
    older_votes: Sequence[Vote]
    conditions: Sequence[Condition]
    requests: Sequence[Request]

    @property
    def is_settled(self) -> bool:
        return not self.pull.is_open


def pull_page(pull: PullRequest) -> PullPage:
    """Return what speaks about ``pull``. About ten queries; the diff is read by ``files``."""
    row = with_evidence(PullRequest.objects.select_related("issue__project", "task__assignee")).get(pk=pull.pk)
    checks, votes = of_head(row)
    requests = Request.objects.filter(pull_request=row).select_related(
        "issue__project", "agent", "user", "answered_by", "pull_request__project", "task"
    )
    return PullPage(
        pull=row,
        checks=checks,
        outside=outside_of(row),
        feedback=list(row.feedback.all()),
        votes=votes,
        older_votes=[vote for vote in row.votes.all() if vote.head_sha != row.head_sha],
        conditions=_conditions(row, checks),
        requests=[request for request in requests if request.is_open],
    )


def files(pull: PullRequest, *, wanted: int | None = None) -> list[FileBox]:
    """Return the files of the diff, the first of them drawn, and the one whose number is ``wanted``."""
    boxes, lines = [], 0
    for index, change in enumerate(diffs.changes(pull.diff)):
        lines += change.lines
        boxes.append(FileBox(index, change, draw(change) if lines <= LINES_DRAWN or index == wanted else None))
    return boxes


def draw(change: FileChange) -> FileDiff:
    """Return ``change`` as its box shows it; a patch that cannot be understood comes back as plain text."""
    found = highlight.diff(change.patch)
    return found[0] if found else FileDiff(change.path, plain=change.patch)


def _conditions(pull: PullRequest, checks: Sequence[Check]) -> list[Condition]:
    standing = proof.standing(pull)
    found = [_checks([check for check in checks if check.on != Check.On.BASE], pull.project)]
    if standing.needs_tester:
        found.append(_vote("Tester", standing.tester))
    else:
        found.append(Condition("Tester", "none", "not asked: a small issue takes the fast lane"))
    found.append(_vote("Reviewer", standing.reviewer))
    needed = pull.needed() if pull.is_open else []
    if outside := outside_of(pull):
        found.append(_outside(outside, rules_known=bool(needed)))
    if needed:
        found.append(_required(needed))
    if standing.needs_person:
        found.append(_vote("A person", standing.person))
    return found


def _checks(checks: Sequence[Check], project: Project) -> Condition:
    passed = sum(check.status == Check.Status.PASSED for check in checks)
    if any(check.status in (Check.Status.FAILED, Check.Status.ERROR) for check in checks):
        return Condition("Checks", "bad", f"{len(checks) - passed} of {len(checks)} not passed")
    if passed < len(checks):
        return Condition("Checks", "wait", f"{passed} of {len(checks)} passed so far")
    if checks:
        return Condition("Checks", "ok", f"{passed} passed")
    if project.checks:
        return Condition("Checks", "wait", "none ran on this commit")
    settings = reverse("projects:settings", args=[project.key])
    return Condition("Checks", "none", "the project has none.", f"{settings}#h-checks")


def _required(needed: Sequence[Needed]) -> Condition:
    """What is not heard of may be through all the same: the forge decides."""
    name, lacking = "Required by the forge", [check.name for check in needed if not check.is_through]
    if red := [check.name for check in needed if check.said and check.said.state == OutsideCheck.State.RED]:
        return Condition(name, "bad", f"{', '.join(red)} red")
    if lacking:
        return Condition(name, "wait", f"waits for {', '.join(lacking)}")
    return Condition(name, "ok", f"{len(needed)} through")


def _outside(checks: Sequence[OutsideCheck], *, rules_known: bool) -> Condition:
    count = Counter(check.state for check in checks)
    green = count[OutsideCheck.State.GREEN]
    if red := count[OutsideCheck.State.RED]:
        return Condition("CI at the forge", "bad", f"{red} of {len(checks)} red")
    if outside_checks.state_of(checks) == OutsideCheck.State.PENDING:
        words = "" if rules_known else "; needed only if the forge's rules say so"
        return Condition("CI at the forge", "wait", f"{green} of {len(checks)} green{words}")
    return Condition("CI at the forge", "ok", f"{green} green")


def _vote(name: str, vote: Vote | None) -> Condition:
    if vote is None:
        return Condition(name, "wait", "has not voted on this commit")
    if vote.verdict == Vote.Verdict.APPROVE:
        where = f" on {vote.pull_request.project.get_forge_display()}" if vote.reference else ""
        return Condition(name, "ok", f"{vote.actor_name} approves{where}")
    return Condition(name, "bad", f"{vote.actor_name} rejects")
