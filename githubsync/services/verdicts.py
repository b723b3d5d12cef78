"""MCC's checks and votes on GitHub, on the commit they speak about.

A personal token cannot make check runs (``check_runs``), so they are commit statuses: ``mcc/checks``, ``mcc/tester``,
``mcc/reviewer``. What a judge found becomes a review that only comments: nobody approves their own pull request, and
MCC opened it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import QuerySet

from githubsync.client import Client, Rejected
from githubsync.services.telling import Memory
from githubsync.wording import quiet
from projects.models import Check, PullRequest, Vote

LONGEST_DESCRIPTION = 140
MOST_INLINE = 30
CHECKS = "mcc/checks"
CONTEXTS = frozenset({CHECKS, *(f"mcc/{kind}" for kind in Vote.Kind)})
"""The names of what we say: nothing that we have to hear."""
STATES = {Vote.Verdict.APPROVE: "success", Vote.Verdict.REJECT: "failure"}


def tell_statuses(client: Client, root: str, pull: PullRequest, memory: Memory) -> None:
    """Let the head's statuses be as checks and votes are. The last one of a name counts, so twice does no harm."""
    for context, (state, description) in _statuses(pull).items():
        what = f"status:{pull.number}:{context}"
        if memory.is_news(what, f"{pull.head_sha} {state} {description}"):
            body = {"context": context, "state": state, "description": description[:LONGEST_DESCRIPTION]}
            client.write("POST", f"{root}/statuses/{pull.head_sha}", body)
            memory.sent(what, f"{pull.head_sha} {state} {description}")


def tell_reviews(client: Client, root: str, pull: PullRequest, memory: Memory) -> None:
    """Put what agents who judged had to say beside the lines that it is about, once for each vote."""
    votes = pull.votes.filter(kind=Vote.Kind.REVIEWER, agent__isnull=False).select_related("agent")
    for vote in votes:
        what = f"review:{vote.pk}"
        if not memory.is_news(what, "said"):
            continue
        where, mark = f"{root}/pulls/{pull.number}/reviews", memory.marker(what)
        if not memory.began(what) or memory.ours(client.pages(where), mark, client) is None:
            _review(client, where, vote, mark)
        memory.sent(what, "said")


def _review(client: Client, where: str, vote: Vote, mark: str) -> None:
    verdict = f"**{vote.actor}** ({vote.get_kind_display().lower()}): {vote.get_verdict_display().lower()}."
    inline, beside = _placed(vote)
    about = {"event": "COMMENT", "commit_id": vote.head_sha}
    try:
        text = _text(verdict, vote, beside, mark)
        client.write("POST", where, {**about, "body": text, "comments": inline})
    except Rejected:
        if not inline:
            raise
        # A line that GitHub does not show in the diff: then all of it goes into the text.
        client.write("POST", where, {**about, "body": _text(verdict, vote, vote.findings, mark)})


def _text(verdict: str, vote: Vote, findings: Sequence[Mapping[str, Any]], mark: str) -> str:
    lines = "\n".join(quiet(f"- `{_place(finding)}`: {finding.get('comment', '')}") for finding in findings)
    return "\n\n".join(filter(None, [verdict, quiet(vote.summary), lines, mark]))


def _placed(vote: Vote) -> tuple[list[dict[str, Any]], list[Mapping[str, Any]]]:
    """Return the findings that belong to a line, as GitHub takes them, and the others."""
    inline: list[dict[str, Any]] = []
    beside: list[Mapping[str, Any]] = []
    for finding in vote.findings:
        path, line = finding.get("path"), finding.get("line")
        if path and isinstance(line, int) and line > 0 and len(inline) < MOST_INLINE:
            words = quiet(str(finding.get("comment", "")))
            inline.append({"path": path, "line": line, "side": "RIGHT", "body": words or "See above."})
        else:
            beside.append(finding)
    return inline, beside


def _place(finding: Mapping[str, Any]) -> str:
    place = ":".join(str(finding[part]) for part in ("path", "line") if finding.get(part))
    return " ".join(place.replace("`", "").split()) or "in general"


def _statuses(pull: PullRequest) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    if checks := checks_of_head(pull):
        found[CHECKS] = sum_of(checks)
    for vote in votes_of_head(pull):
        found[context_of(vote)] = judgement(vote)
    return found


def checks_of_head(pull: PullRequest) -> list[Check]:
    return list(pull.checks.filter(on=Check.On.HEAD, sha=pull.head_sha))


def votes_of_head(pull: PullRequest) -> QuerySet[Vote]:
    """Return the votes of agents: what a person thinks they say on GitHub themselves."""
    return pull.votes.filter(head_sha=pull.head_sha).exclude(kind=Vote.Kind.PERSON).select_related("agent")


def context_of(vote: Vote) -> str:
    return f"mcc/{vote.kind}"


def judgement(vote: Vote) -> tuple[str, str]:
    """Return the state of a vote, in GitHub's word for statuses, and a sentence."""
    return STATES[Vote.Verdict(vote.verdict)], f"{vote.actor}: {vote.get_verdict_display().lower()}"


def sum_of(checks: Sequence[Check]) -> tuple[str, str]:
    """Return the state of all of them together, in GitHub's word for statuses, and a sentence."""
    by = {status: [check.name for check in checks if check.status == status] for status in Check.Status}
    if by[Check.Status.FAILED]:
        return "failure", f"Failed: {', '.join(by[Check.Status.FAILED])}"
    if by[Check.Status.ERROR]:
        return "error", f"Could not run: {', '.join(by[Check.Status.ERROR])}"
    if len(by[Check.Status.PASSED]) == len(checks):
        return "success", f"{len(checks)} passed"
    return "pending", "Checks are running"
