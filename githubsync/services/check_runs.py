"""MCC's checks and votes as check runs, which only an App may make: with the end of a log, and findings by line.

A run is known by its ``external_id``, so that one whose answer was lost is found again and edited in place. Where
somebody pressed "Re-run" (``effects.reruns``) it says so: each click is an edit, which ends what GitHub waits for.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urljoin

from django.urls import reverse

from githubsync.client import Client
from githubsync.models import App, Heard
from githubsync.services.telling import Memory
from githubsync.services.verdicts import CHECKS, checks_of_head, context_of, judgement, sum_of, votes_of_head
from githubsync.wording import in_line, quiet
from mcc.core.redaction import redact
from projects.models import Check, PullRequest

AT_ONCE: Final = 50
"""GitHub takes no more annotations in one request, and adds those of the next one to them."""
MOST_ANNOTATIONS: Final = 200
LONGEST_TITLE: Final = 200
LONGEST_SUMMARY: Final = 30_000
LONGEST_LOG: Final = 4_000
LONGEST_MESSAGE: Final = 2_000
CONCLUSIONS: Final = {"success": "success", "failure": "failure", "error": "failure"}
LEVELS: Final = {"blocker": "failure", "major": "warning"}
RERUN: Final = "re-run"
CHECKS_AGAIN: Final = "the checks run again while the change is tested or reviewed."
NOT_JUDGED_AGAIN: Final = "a judgement holds for its commit, and nothing is judged anew by that."


@dataclass(frozen=True)
class CheckRun:
    """``body`` is what GitHub takes, without annotations."""

    name: str
    external_id: str
    body: dict[str, Any]
    annotations: Sequence[dict[str, Any]] = field(default=())


def tell(client: Client, root: str, pull: PullRequest, memory: Memory) -> None:
    """Let the head's check runs be as checks and votes are."""
    for run in _runs(pull, client.connection.app):
        what = f"check-run:{run.external_id}"
        text = json.dumps([run.body, run.annotations], sort_keys=True)
        if memory.is_news(what, text):
            _send(client, root, run, _found(client, root, run) if memory.began(what) else None)
            memory.sent(what, text)


def _send(client: Client, root: str, run: CheckRun, there: dict[str, Any] | None) -> None:
    """Make it, or edit what is ``there``, then add the annotations that it has not got yet."""
    done = there["output"]["annotations_count"] if there else 0
    where = f"{root}/check-runs"
    while True:
        batch = run.annotations[done : done + AT_ONCE]
        body = run.body if not batch else run.body | {"output": run.body["output"] | {"annotations": list(batch)}}
        if there is None:
            there = client.write("POST", where, body)
        else:
            client.write("PATCH", f"{where}/{there['id']}", {k: v for k, v in body.items() if k != "head_sha"})
        done += len(batch)
        if done >= len(run.annotations):
            return


def _found(client: Client, root: str, run: CheckRun) -> dict[str, Any] | None:
    path = f"{root}/commits/{run.body['head_sha']}/check-runs"
    rows = client.pages(path, inside="check_runs", check_name=run.name, filter="all")
    ours = client.connection.app.app_id
    mine = (row for row in rows if row["external_id"] == run.external_id and (row["app"] or {}).get("id") == ours)
    return next(mine, None)


def _runs(pull: PullRequest, app: App) -> Iterator[CheckRun]:
    details = urljoin(app.home, reverse("projects:pull_request", args=[pull.issue.project.key, pull.number]))
    clicks = _clicks(pull)
    if checks := checks_of_head(pull):
        state, title = sum_of(checks)
        summary = _logs(checks) + _asked(clicks, CHECKS, CHECKS_AGAIN)
        yield _run(CHECKS, f"{known_by(pull)}checks", pull.head_sha, details, state, title, summary)
    for vote in votes_of_head(pull):
        name = context_of(vote)
        parts = (name, f"{known_by(pull)}vote:{vote.pk}", vote.head_sha, details, *judgement(vote))
        yield _run(*parts, quiet(redact(vote.summary)) + _asked(clicks, name, NOT_JUDGED_AGAIN), vote.findings)


def known_by(pull: PullRequest) -> str:
    """Return what the ``external_id`` of every run of ``pull`` begins with."""
    return f"mcc:{pull.pk}:"


def word_for(name: str) -> str:
    """Return the word under which a click at run ``name`` is heard, at all of them for ""."""
    return f"{RERUN} {name or 'all'}"


def _clicks(pull: PullRequest) -> list[str]:
    heard = Heard.objects.filter(kind=Heard.Kind.RERUN, outcome=Heard.Outcome.OBEYED, number=pull.number)
    return list(heard.filter(repository__project=pull.issue.project_id).values_list("word", flat=True))


def _asked(clicks: Sequence[str], name: str, follows: str) -> str:
    times = clicks.count(word_for(name)) + clicks.count(word_for(""))
    return f"\n\nRe-run was pressed on this pull request (by now {times}): {follows}" if times else ""


def _run(
    name: str,
    external_id: str,
    sha: str,
    details: str,
    state: str,
    title: str,
    summary: str,
    findings: Sequence[Mapping[str, Any]] = (),
) -> CheckRun:
    output = {"title": redact(title)[:LONGEST_TITLE], "summary": redact(summary)[:LONGEST_SUMMARY] or redact(title)}
    body = {"name": name, "head_sha": sha, "external_id": external_id, "details_url": details, "output": output}
    over = state in CONCLUSIONS
    progress = {"status": "completed", "conclusion": CONCLUSIONS[state]} if over else {"status": "in_progress"}
    notes = tuple(note for finding in findings if (note := _annotation(finding)))
    return CheckRun(name, external_id, body | progress, notes[:MOST_ANNOTATIONS])


def _annotation(finding: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a finding as GitHub takes it, None when it is about no line."""
    path, line = finding.get("path"), finding.get("line")
    if not path or not isinstance(line, int) or line < 1:
        return None
    words = quiet(redact(str(finding.get("comment", ""))))[:LONGEST_MESSAGE]
    level = LEVELS.get(str(finding.get("severity", "")), "notice")
    message = words or "See the review."
    return {"path": path, "start_line": line, "end_line": line, "annotation_level": level, "message": message}


def _logs(checks: Sequence[Check]) -> str:
    """Return each check with its end, and of those that failed the end of the log."""
    lines = []
    for check in checks:
        lines.append(f"- {in_line(check.name)}: {check.get_status_display()}")
        if check.status in (Check.Status.FAILED, Check.Status.ERROR) and check.log:
            log = redact(check.log)[-LONGEST_LOG:].replace("```", "'''")
            lines.append(f"\n```text\n{log}\n```\n")
    return "\n".join(lines)
