"""What CI on GitHub says of the head of one of our open pull requests: check runs and commit statuses, not our own.

Both become one kind of evidence in ``projects``, which decides what follows. Names, words and addresses are written by
whoever runs the CI, or by a change that an agent made to it. News that come before the push is written down here are
about no head yet, and left alone; what MCC says of the commit soon after is delivered too, and a reason to look again.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from django.core.cache import cache

from githubsync import joblogs, withheld
from githubsync.conclusions import CONCLUSIONS, STATUSES, State
from githubsync.models import Poll
from githubsync.required import STATUS
from githubsync.services.effects import branch_rules
from githubsync.services.effects.look import Look
from githubsync.services.verdicts import CONTEXTS
from projects.forge import Forbidden, ForgeError, NotFound, RateLimited, Unavailable
from projects.models import PullRequest
from projects.services import outside_checks
from projects.services.outside_checks import Report

MOST_ANNOTATED: Final = 10
MOST_LOGS: Final = 5
MOST_TRIES: Final = 3
"""For a log that is not there: fewer than the attempts of a delivery, in each worker process."""
MOST_HEADS: Final = 50
WITHHELD: Final = "withheld"
"""In place of an ETag: check runs that the token may not read are as they were."""
INSIDE: Final = {"check-runs": "check_runs", "status": "statuses"}
REMEMBERED_S: Final = 3600
JOB: Final = re.compile(r"/actions/runs/\d+/job/(\d{1,18})(?:[?#]|\Z)")


def look_at(look: Look, sha: str) -> None:
    """Take note of what CI says of commit ``sha`` when it is the head of a pull request of ours.

    Raises Unavailable in the end when the log of a red job may be there a little later.
    """
    pulls = list(PullRequest.objects.open().filter(project=look.project, head_sha=sha))
    if not pulls:
        return
    ids = sorted(pull.pk for pull in pulls)
    known = _noted(look, sha, ids)
    runs, runs_etag = _rows(look, sha, "check-runs", known[0])
    statuses, statuses_etag = _rows(look, sha, "status", known[1])
    if runs is None and statuses is None:
        return
    if runs is None:
        runs, runs_etag = _rows(look, sha, "check-runs", "")
    if statuses is None:
        statuses, statuses_etag = _rows(look, sha, "status", "")
    logs = _Logs(look)
    reports = [*_runs(look, runs or (), logs), *_statuses(look, statuses or ())]
    look.lease.check()
    names = {app["id"]: app["slug"] for app in (row["app"] for row in runs or ()) if app and app.get("slug")}
    for pull in pulls:
        outside_checks.take_note(pull, sha, reports)
        branch_rules.show(look, pull, names)
    if logs.come_later:
        raise Unavailable("The log of a red job cannot be read yet.")
    _remember(look, sha, [ids, runs_etag, statuses_etag])


def _noted(look: Look, sha: str, pulls: list[int]) -> tuple[str, str]:
    """Return the ETags of what was taken note of about ``sha`` for exactly these pull requests, else empty ones."""
    heads = Poll.objects.filter(repository=look.repository).values_list("heads", flat=True).first() or {}
    ids, runs, statuses = heads.get(sha, (None, "", ""))
    return (runs, statuses) if ids == pulls else ("", "")


def _remember(look: Look, sha: str, noted: list[object]) -> None:
    """Only for where one asks again and again. One errand of a connection does this, so nothing comes in between."""
    row = Poll.objects.filter(repository=look.repository).first()
    if row is not None:
        others = [(name, value) for name, value in row.heads.items() if name != sha]
        Poll.objects.filter(pk=row.pk).update(heads=dict([*others[1 - MOST_HEADS :], (sha, noted)]))


def _rows(look: Look, sha: str, what: str, etag: str) -> tuple[Sequence[dict[str, Any]] | None, str]:
    """Return check runs or statuses, None when they are as ``etag`` says; no runs for a token that may not read them,
    which it need not."""
    connection, may_lack = look.client.connection, what == "check-runs"
    if not (may_lack and withheld.check_runs_are(connection)):
        try:
            known = "" if etag == WITHHELD else etag
            return look.client.all_unless(known, f"{look.root}/commits/{sha}/{what}", inside=INSIDE[what])
        except Forbidden:
            if connection.is_app or not may_lack:
                raise
            withheld.check_runs(connection)
    return None if etag == WITHHELD else [], WITHHELD


def _runs(look: Look, rows: Sequence[dict[str, Any]], logs: "_Logs") -> list[Report]:
    connection = look.client.connection
    ours = connection.app.app_id if connection.is_app else None
    found, annotated = [], 0
    for row in rows:
        app = row["app"] or {}
        if ours is not None and app.get("id") == ours:
            continue
        state = CONCLUSIONS.get(row["conclusion"] or "", State.PENDING)
        notes = ""
        if state == State.RED and row["output"]["annotations_count"] and annotated < MOST_ANNOTATED:
            annotated += 1
            notes = _annotations(look, row["id"])
        job = _job_of(look, row) if state == State.RED else None
        log = logs.end_of(job) if job is not None else ""
        said = row["conclusion"] or row["status"]
        where = _place(look, row["html_url"] or row["details_url"])
        words = "\n".join(_words(row["output"], notes, log))
        found.append(Report(app.get("slug") or "check run", row["name"], state, said, *where, output=words))
    return found


def _words(output: dict[str, Any], notes: str, log: str) -> Iterator[str]:
    yield from filter(None, (output["title"], output["summary"], notes, output["text"], log))


def _job_of(look: Look, row: dict[str, Any]) -> int | None:
    """Return GitHub's number of the job of its Actions that a check run is, None for one of another CI."""
    address, _ = _place(look, row["html_url"] or row["details_url"])
    found = JOB.search(address)
    return int(found[1]) if found and row["status"] == "completed" else None


class _Logs:
    """Logs of red jobs in one look, a few at most. ``come_later``: one was missing that is worth another try."""

    def __init__(self, look: Look) -> None:
        self._look, self._left, self.come_later = look, MOST_LOGS, False

    def end_of(self, job_id: int) -> str:
        """Return the end of a job's log, or why there is none. A job that is over says nothing more, so it is kept."""
        if self._left < 1:
            return ""
        self._left -= 1
        key = f"github-job-log-{self._look.repository.pk}-{job_id}"
        known: str | None = cache.get(key)
        if known is None:
            known = self._asked(job_id, key)
        return known

    def _asked(self, job_id: int, key: str) -> str:
        """GitHub has a log some seconds after it says that the job is over. Who may not read it is not asked again."""
        try:
            text = joblogs.end_of(self._look.client, self._look.root, job_id)
        except RateLimited:
            raise
        except ForgeError as refusal:
            text = f"(Its log could not be read: {refusal})"
            tries = cache.get(f"{key}-tries", 0) + 1
            if tries < MOST_TRIES and _passes(refusal):
                cache.set(f"{key}-tries", tries, REMEMBERED_S)
                self.come_later = True
                return text
        cache.set(key, text, REMEMBERED_S)
        return text


def _passes(refusal: ForgeError) -> bool:
    return isinstance(refusal, NotFound) or (isinstance(refusal, Unavailable) and not refusal.permanent)


def _annotations(look: Look, run_id: int) -> str:
    """Return the lines that a run complains about. GitHub's own CI says there what failed, and nothing elsewhere."""
    rows: list[dict[str, Any]] = []
    with suppress(Forbidden):
        rows = look.client.get(f"{look.root}/check-runs/{run_id}/annotations", per_page="50")
    return "\n".join(f"{row['path']}:{row['start_line']}: {row['message'] or ''}" for row in rows)


def _statuses(look: Look, rows: Sequence[dict[str, Any]]) -> Iterator[Report]:
    """Give the last status of each context."""
    for row in rows:
        if row["context"] in CONTEXTS:
            continue
        state = STATUSES.get(row["state"], State.PENDING)
        where = _place(look, row["target_url"])
        yield Report(STATUS, row["context"], state, row["state"], *where, output=row["description"] or "")


def _place(look: Look, address: str | None) -> tuple[str, str]:
    """Return ``address`` as a link when it is on the connection's own site, else as text."""
    try:
        there, own = urlsplit(address or ""), urlsplit(look.client.connection.web_url)
    except ValueError:
        return "", ""
    address = address or ""
    is_own = (there.scheme, there.netloc) == (own.scheme, own.netloc) and address.isprintable()
    return (address, "") if is_own else ("", address)
