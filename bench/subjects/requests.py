"""Requests to GitHub for an issue of one task, from its label to the closed issue, by webhooks and by asking alone.

The whole company in its own processes works beside a simulated GitHub that writes a line for each request. Git is not
counted, as GitHub counts no git; nor is what connects the two. A person answers at once, so how long the issue is open
is the company's own time. 304 costs nothing of GitHub's limit, and is told separately. A naive client writes as much,
and looks at what each delivery is about whenever one comes in: an issue and its comments, a pull request with its
reviews and their comments, what two kinds of CI say of a commit.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import running as starting
from bench.finding import Finding, Scale, Target
from tests.journeys.company import Company
from tests.journeys.hub import Hub, link, running

LOG = "requests.txt"
MOST = Target("at most", 40)
LOOKS = {
    "label": 1,
    "issues": 2,
    "issue_comment": 2,
    "check_run": 2,
    "status": 2,
    "push": 2,
    "pull_request": 3,
    "pull_request_review": 3,
}
"""Reads of a client that looks at once at what a delivery is about; of others it makes one."""
LINKED = "select count(*) from githubsync_issuelink"
ASKED = "select count(*) from projects_request where answered_at is null"
TOLD = "select count(*) = 0 from githubsync_outgoing"
ARRIVED = "select event from githubsync_delivery where polled = ?"


@dataclass(frozen=True)
class Line:
    """A request that GitHub answered."""

    method: str
    path: str
    status: int

    @property
    def counts(self) -> bool:
        return self.path.startswith("/api/")

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


def measure(scale: Scale) -> Iterator[Finding]:
    for way, words, interval_s in (("app", "webhooks", "0"), ("token", "asking", "5")):
        found = [_one(way, interval_s) for _ in range(scale.of(1, 1, 3))]
        counted = [[line for line in lines if line.status != 304] for lines, _, _ in found]
        note = f"open for {found[0][2]:.0f} s; most often {_most_often(counted[0])}"
        yield Finding(
            f"requests for an issue of one task, heard of by {words}", "", list(map(len, counted)), MOST, note
        )
        free = [len(lines) - len(counting) for (lines, _, _), counting in zip(found, counted, strict=True)]
        yield Finding(f"… answered with 304, heard of by {words}", "", free)
        if way == "app":
            yield Finding("… of a naive client", "", [_naive(lines, events) for lines, events, _ in found])


def _one(way: str, interval_s: str) -> tuple[list[Line], list[str], float]:
    """Return the requests of one issue, the events that were delivered meanwhile, and how long it took in seconds."""
    with (
        starting.home() as there,
        running("ada/notes", "--log", str(there / LOG)) as hub,
        starting.home() as home,
    ):
        company = Company(home, MCC_POLL_INTERVAL_S=interval_s)
        try:
            company.start()
            link(company, hub, way, "ls notes")
            known = len(_lines(there))
            began = time.monotonic()
            _work(company, hub, asks=way == "token")
            took_s = time.monotonic() - began
            lines = _lines(there)[known + 1 :]  # but for the one that files the issue, which is ours
            return lines, [str(row["event"]) for row in company.rows(ARRIVED, False)], took_s
        finally:
            company.kill()


def _work(company: Company, hub: Hub, *, asks: bool) -> None:
    hub.do("POST", "/issues", {"title": "Leave a note", "labels": ["mcc"]})
    if asks:
        company.tick("githubsync.tasks.poll")
    company.wait_for(LINKED)
    [row] = company.rows("select issue_id from githubsync_issuelink")
    company.see_through(int(str(row["issue_id"])))
    company.wait_for(TOLD)


def _lines(there: Path) -> list[Line]:
    read = [line.split(" ") for line in (there / LOG).read_text().splitlines()]
    lines = [Line(method, urlsplit(path).path, int(status)) for method, path, status in read]
    return [line for line in lines if line.counts]


def _naive(lines: list[Line], events: list[str]) -> int:
    return sum(line.is_write for line in lines) + sum(LOOKS.get(event, 1) for event in events)


def _most_often(lines: list[Line]) -> str:
    kinds = Counter(f"{line.method} …/{line.path.rstrip('/').rpartition('/')[2]}" for line in lines)
    return ", ".join(f"{number} × {kind}" for kind, number in kinds.most_common(4))
