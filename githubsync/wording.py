"""What MCC writes on GitHub, in GitHub's Markdown. Whatever agents wrote in it calls nobody and closes nothing."""

import re

from budgets.queries import spent_nanousd
from githubsync.models import IssueLink
from mcc.core.money import usd_display
from projects.instructions import shown
from projects.models import Check, Issue, IssueStatus, PullRequest, Request, TaskStatus

LONGEST = 4_000
NOTHING = "\u200b"
"""A space without width: it parts what GitHub would take for a mention or a reference."""
_CALLS = re.compile(r"(?<![\w.])@(?=\w)|#(?=\d)|\bGH-(?=\d)", re.I)
_CLOSES = re.compile(r"\b(close[sd]?|fix(?:e[sd])?|resolve[sd]?)(?=:?\s+https?://)", re.I)
_NUMBER = re.compile(r" \(#\d+\)\Z")
STAGES = {
    IssueStatus.NEW: "waits for its turn",
    IssueStatus.PLANNING: "is being planned",
    IssueStatus.IMPLEMENTATION: "is being worked on",
    IssueStatus.TESTING: "is being tested",
    IssueStatus.REVIEW: "is being reviewed",
    IssueStatus.DONE: "is done",
    IssueStatus.CANCELLED: "was given up",
}
RESULTS = {Check.Status.PASSED: "✅ passed", Check.Status.FAILED: "❌ failed", Check.Status.ERROR: "⚠️ could not run"}


def quiet(text: str) -> str:
    """Return ``text`` so that on GitHub it mentions nobody, refers to no issue and closes none."""
    return _CLOSES.sub(rf"\1{NOTHING}", _CALLS.sub(lambda found: found[0] + NOTHING, shown(text)))


def commit_title(title: str) -> str:
    """Return the title of a merge, quiet but for the number of its own pull request."""
    number = _NUMBER.search(title)
    return quiet(title[: number.start()]) + number[0] if number else quiet(title)


def status_comment(issue: Issue) -> str:
    """Return where ``issue`` stands. It changes only with what a reader of the issue cares for."""
    lines = [f"**Mission Control**: {issue.key} {STAGES[IssueStatus(issue.status)]}.", ""]
    waiting = Request.objects.open().filter(issue=issue).exclude(question="").order_by("pk")
    lines += [f"- Waits for a person: {request.get_kind_display()}." for request in waiting]
    for pull in PullRequest.objects.filter(issue=issue).order_by("pk"):
        lines.append(f"- #{pull.number} {quiet(_line(pull.title))}: {pull.get_status_display().lower()}")
    if issue.status == IssueStatus.DONE:
        lines.append(f"- Cost: {usd_display(spent_nanousd(issue.account))}")
    return "\n".join(lines).strip()


def pull_body(pull: PullRequest, link: IssueLink | None) -> str:
    """Return what a pull request says of itself: summary, plan, evidence for its head, cost, what it closes."""
    issue = pull.issue
    parts = [_cut(quiet(pull.body))]
    if issue.spec or issue.definition_of_done:
        done = "\n".join(f"- {quiet(_line(str(line)))}" for line in issue.definition_of_done)
        parts.append("\n\n".join(filter(None, ["### Plan", _cut(quiet(issue.spec)), done])))
    parts.append(_evidence(pull))
    parts.append(f"### Cost\n\n{usd_display(spent_nanousd(issue.account))} so far for {issue.key}.")
    if link is not None:
        parts.append(_relation(issue, link))
    return "\n\n".join(parts)


def _evidence(pull: PullRequest) -> str:
    """What was found about the commit that would be merged, and nothing about earlier ones."""
    lines = [f"### Evidence for {pull.head_sha[:12]}", ""]
    checks = pull.checks.filter(on=Check.On.HEAD, sha=pull.head_sha)
    lines += [f"- {_line(check.name)}: {RESULTS.get(Check.Status(check.status), check.status)}" for check in checks]
    for vote in pull.votes.counting().select_related("agent", "user"):
        lines.append(f"- {vote.get_kind_display()} ({_line(str(vote.actor))}): {vote.get_verdict_display().lower()}")
    return "\n".join(lines if len(lines) > 2 else [*lines, "None yet."])


def _relation(issue: Issue, link: IssueLink) -> str:
    """Of several pull requests none may close the issue: it is done when all are merged."""
    several = issue.tasks.exclude(status=TaskStatus.CANCELLED).count() > 1
    return f"{'Part of' if several else 'Closes'} #{link.number}"


def _line(text: str) -> str:
    return " ".join(text.split())


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
