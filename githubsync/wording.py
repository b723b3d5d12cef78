"""What MCC writes on GitHub, in GitHub's Markdown. What agents wrote in it calls nobody, closes and loads nothing."""

import re
from collections.abc import Sequence

from budgets.queries import spent_nanousd
from githubsync.models import IssueLink
from mcc.core.money import usd_display
from projects import wording as forge_wording
from projects.models import Check, Issue, IssueStatus, PullRequest, Request, TaskStatus
from projects.wording import NOTHING

LONGEST = 4_000
_PICTURE = re.compile(r"!\[([^\[\]`~\n]*)\]\(\s*<?([^()\[\]<>`\s]*)>?[^()\[\]<>`\n]*\)")
_LOADS = re.compile(r"!(?=\[)|<(?=[a-z/!?])", re.I)
_FENCE = re.compile(r"(`{3,})([^`]*)|(~{3,})(.*)")
_FENCE_LIKE = re.compile(r"`{3,}|~{3,}")
_LANGUAGE = re.compile(r"[\w+#.-]*")
_DRAWN = ("mermaid", "geojson", "topojson", "stl", "math")
"""What GitHub makes a drawing of, which may load more."""
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
    """Return ``text`` so that on GitHub it mentions nobody, refers to no issue, closes none, and has nothing loaded.

    An address that is loaded tells whoever is there what stands in it. So pictures become text, and HTML is shown as
    it is written. Code is left as it is where it is beyond doubt that GitHub takes it for code: see ``_is_plain``.
    """
    lines = forge_wording.quiet(text).split("\n")
    is_plain, fence, told = _is_plain(lines), "", []
    for line in lines:
        found = _FENCE.fullmatch(line) if is_plain else None
        mark, language = (found[1] or found[3], (found[2] or found[4] or "").strip()) if found else ("", "")
        if fence and not (mark.startswith(fence) and not language):
            told.append(line)
        elif mark:
            fence = "" if fence else mark
            told.append(f"{mark}{_language(language)}")
        else:
            told.append(_unloaded(line, is_plain=is_plain))
    return "\n".join([*told, fence] if fence else told)


def in_line(text: str) -> str:
    """Return ``text``, quiet, to stand in a line with other words."""
    return _unloaded(forge_wording.quiet(" ".join(text.split())), is_plain=False)


def _is_plain(lines: Sequence[str]) -> bool:
    """Whether code begins and ends at the margin only: what lists and quotes hold ends with them, by other rules."""
    fences = [line for line in lines if _FENCE_LIKE.search(line)]
    return all(_FENCE.fullmatch(line) and len(_FENCE_LIKE.findall(line)) == 1 for line in fences)


def _unloaded(line: str, *, is_plain: bool) -> str:
    if not is_plain:
        line = _FENCE_LIKE.sub(lambda found: NOTHING.join(found[0]), line)  # what follows begins outside of code
    line = _PICTURE.sub(lambda found: f"{found[1]} `{found[2]}`" if found[2] else found[1], line)
    return _LOADS.sub(lambda found: found[0] + NOTHING, line)


def _language(words: str) -> str:
    return words if _LANGUAGE.fullmatch(words) and words.lower() not in _DRAWN else "text"


def commit_title(title: str) -> str:
    """Return the title of a merge, quiet but for the number of its own pull request."""
    number = _NUMBER.search(title)
    return forge_wording.quiet(title[: number.start()]) + number[0] if number else forge_wording.quiet(title)


def status_comment(issue: Issue) -> str:
    """Return where ``issue`` stands. It changes only with what a reader of the issue cares for."""
    lines = [f"**Mission Control**: {issue.key} {STAGES[IssueStatus(issue.status)]}.", ""]
    waiting = Request.objects.open().filter(issue=issue).exclude(question="").order_by("pk")
    lines += [f"- Waits for a person: {request.get_kind_display()}." for request in waiting]
    for pull in PullRequest.objects.filter(issue=issue).order_by("pk"):
        lines.append(f"- #{pull.number} {in_line(pull.title)}: {pull.get_status_display().lower()}")
    if issue.status == IssueStatus.DONE:
        lines.append(f"- Cost: {usd_display(spent_nanousd(issue.account))}")
    return "\n".join(lines).strip()


def pull_body(pull: PullRequest, link: IssueLink | None) -> str:
    """Return what a pull request says of itself: summary, plan, evidence for its head, cost, what it closes."""
    issue = pull.issue
    parts = [quiet(_cut(pull.body))]
    if issue.spec or issue.definition_of_done:
        done = "\n".join(f"- {in_line(str(line))}" for line in issue.definition_of_done)
        parts.append("\n\n".join(filter(None, ["### Plan", quiet(_cut(issue.spec)), done])))
    parts.append(_evidence(pull))
    parts.append(f"### Cost\n\n{usd_display(spent_nanousd(issue.account))} so far for {issue.key}.")
    if link is not None:
        parts.append(_relation(issue, link))
    return "\n\n".join(parts)


def _evidence(pull: PullRequest) -> str:
    """What was found about the commit that would be merged, and nothing about earlier ones."""
    lines = [f"### Evidence for {pull.head_sha[:12]}", ""]
    checks = pull.checks.filter(on=Check.On.HEAD, sha=pull.head_sha)
    lines += [f"- {in_line(check.name)}: {RESULTS.get(Check.Status(check.status), check.status)}" for check in checks]
    for vote in pull.votes.counting().select_related("agent", "user"):
        lines.append(f"- {vote.get_kind_display()} ({in_line(str(vote.actor))}): {vote.get_verdict_display().lower()}")
    return "\n".join(lines if len(lines) > 2 else [*lines, "None yet."])


def _relation(issue: Issue, link: IssueLink) -> str:
    """Of several pull requests none may close the issue: it is done when all are merged."""
    several = issue.tasks.exclude(status=TaskStatus.CANCELLED).count() > 1
    return f"{'Part of' if several else 'Closes'} #{link.number}"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
