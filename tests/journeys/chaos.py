"""The fault campaign: rounds of work, in each of which something is killed with ``kill -9`` at some moment.

``make chaos``, or ``python -m tests.journeys --rounds 20 --seed 7 --on postgresql``. A round files issues, waits
for a moment, kills, and sees everything through; then the auditor looks at the database, the bill, the repository, the
processes and the files. One company lives through all rounds, so what one leaves behind is in the way of the next.

Victims and moments come from decks that are shuffled by the seed: the same seed gives the same schedule. When exactly
a process is hit within its moment is up to the machine.
"""

import contextlib
import http.client
import random
import sqlite3
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg

from tests.journeys import auditor
from tests.journeys.company import Refused
from tests.journeys.victims import House, blows

ISSUES = 2
"""How many are filed in each round."""
ROUND_S = 400
"""A round that takes longer is stuck: ten seconds is usual on an idle machine, two minutes under ten times its load."""
AFTER_S = 0.15
"""A blow falls within this time of its moment."""
AIM_S, WATCH_S = 0.01, 0.1
"""Between two looks at the company, before the blow and after it: whoever looks takes time from those who work."""
FILING = "issues are filed"

AT_WORK = "select count(*) from agents_run where status = 'running' and purpose in "
ERRAND = "select count(*) from core_errand where status = 'running' and kind like "
MOMENTS = {
    FILING: "select 1",
    "an Architect plans": f"{AT_WORK} ('plan')",
    "a Coder works": f"{AT_WORK} ('implement', 'fix')",
    "a call was just sent": "select count(*) from budgets_hold where state = 'sent' and generation_id is null",
    "a model answers": "select count(*) from budgets_hold where state = 'sent' and generation_id is not null",
    "work is handed in": "select count(*) from projects_pullrequest where status = 'draft'",
    "checks run": "select count(*) from projects_check where status = 'running'",
    "a judge looks": f"{AT_WORK} ('test', 'review')",
    "somebody is asked": "select count(*) from projects_request where answered_at is null",
    "a merge is carried out": f"{ERRAND} 'projects.merge'",
    "workspaces are cleared away": f"{ERRAND} 'projects.tidy%%'",
}
AWAY = (OSError, http.client.HTTPException, psycopg.OperationalError, sqlite3.OperationalError)
"""Nobody answers: whom we asked was killed."""


@dataclass
class Round:
    number: int
    target: str
    moment: str
    hit: str = ""
    """The name of what was killed, "" when nobody was there."""
    seconds: float = 0
    done: int = 0
    blocked: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    ended: bool = False

    def __str__(self) -> str:
        how = f"{self.done} done" + "".join(f", blocked: {reason}" for reason in self.blocked)
        hit = self.hit or "nobody was there"
        line = f"round {self.number:3}  {self.target} ({hit}), when {self.moment}  {self.seconds:.1f} s  {how}"
        return "\n".join([line, *(f"    FINDING {finding}" for finding in self.findings)])


class Campaign:
    """Rounds on one company."""

    def __init__(self, house: House, seed: str) -> None:
        self._house = house
        self._company = house.company
        self._chance = random.Random(seed)
        self._known: set[str] = set()
        # One thread for all blows: what it starts again would die with it.
        self._executioner = ThreadPoolExecutor(1)

    def play(self, rounds: Iterable[int]) -> Iterator[Round]:
        """Yield each round when it is over; the last one is the last that came to an end."""
        self._house.start()
        self._found()
        blow_of = blows(self._house)
        targets, moments = _deck(self._chance, blow_of), _deck(self._chance, MOMENTS)
        for number in rounds:
            now, began = Round(number, next(targets), next(moments)), time.monotonic()
            try:
                issues = self._play(now)
                now.ended = True
                now.findings += self._new(self._judged(now, issues))
            except (AssertionError, TimeoutError) as failure:
                now.findings.append(f"the round did not end: {_told(failure)}")
            now.seconds = time.monotonic() - began
            yield now
            if not now.ended:
                return
        auditor.a_day_later_all_is_settled(self._company)
        assert self._company.stop() == 0
        auditor.nobody_is_left(self._company)

    def _found(self) -> None:
        """Found a project on the demo's repository, whose own first issue is left alone."""
        [demo] = self._company.rows("select repository from projects_project")
        self._repository = demo["repository"]
        self._base = auditor.git(self._repository, "rev-parse", "main")
        checks = [{"name": "notes", "command": "ls notes", "timeout_s": 60}]
        body = {"key": "CHAOS", "name": "Chaos", "repository": self._repository, "checks": checks}
        self._project = self._company.call("POST", "projects/", body)["id"]

    def _play(self, now: Round) -> list[int]:
        """Play one round and return its issues, all of them over. Raises AssertionError, TimeoutError."""
        titles = [f"Chaos {now.number}.{place}" for place in range(ISSUES)]
        titles[0] += " Second thoughts" if self._chance.random() < 0.3 else ""
        delay_s = self._chance.uniform(0, AFTER_S)
        blow = self._strike_soon(now, delay_s) if now.moment == FILING else None
        issues = [self._filed(title) for title in titles]
        deadline = time.monotonic() + ROUND_S
        while not self._over(issues):
            if time.monotonic() > deadline:
                raise TimeoutError(self._state(issues))
            with contextlib.suppress(*AWAY):
                if blow is None and self._company.says_yes(MOMENTS[now.moment]):
                    blow = self._strike_soon(now, delay_s)
                self._answer(issues)
            time.sleep(AIM_S if blow is None else WATCH_S)
        if blow is None:
            now.moment, blow = "all was done", self._strike_soon(now, delay_s)
        blow.result()
        auditor.nothing_is_left_lying(self._company)
        return issues

    def _strike_soon(self, now: Round, delay_s: float) -> "Future[None]":
        return self._executioner.submit(self._strike, now, delay_s)

    def _strike(self, now: Round, delay_s: float) -> None:
        time.sleep(delay_s)
        now.hit = blows(self._house)[now.target](self._house, self._chance)

    def _filed(self, title: str) -> int:
        """File an issue and start it, whoever dies meanwhile: ask again, but not for what is there already."""
        deadline, why = time.monotonic() + ROUND_S, None
        while time.monotonic() < deadline:
            try:
                found = self._company.rows("select id, started_at from projects_issue where title = ?", title)
                if not found:
                    self._company.call("POST", f"projects/{self._project}/issues/", {"title": title})
                elif found[0]["started_at"] is None:
                    self._company.call("POST", f"issues/{found[0]['id']}/start/")
                else:
                    return found[0]["id"]
            except (*AWAY, Refused) as refusal:
                why = refusal
                time.sleep(0.05)
        raise TimeoutError(f"{title} could not be filed: {why!r}\n{self._company.tail()}")

    def _over(self, issues: Sequence[int]) -> bool:
        with contextlib.suppress(*AWAY):
            statuses = (self._company.rows("select status from projects_issue where id = ?", issue) for issue in issues)
            return {row["status"] for [row] in statuses} == {"done"}
        return False

    def _answer(self, issues: Sequence[int]) -> None:
        """Say yes to all that is asked, and "try again" where somebody could not go on."""
        asked = self._company.rows("select distinct issue_id from projects_request where answered_at is null")
        for issue in {row["issue_id"] for row in asked} & set(issues):
            self._company.answer_requests(issue)

    def _judged(self, now: Round, issues: Sequence[int]) -> Iterator[str]:
        """Yield what the auditor finds."""
        now.done = len(issues)
        for issue in issues:
            asked = self._company.rows(
                "select question from projects_request where issue_id = ? and kind = 'blocked' order by id", issue
            )
            now.blocked += [row["question"] for row in asked]
        for name, check in auditor.CHECKS.items():
            try:
                check(self._company)
            except AssertionError as failure:
                yield f"{name}: {_told(failure)}"
        try:
            auditor.tasks_are_merged_once(self._company, self._project, self._repository, self._base)
            for issue in issues:
                auditor.votes_are_for_what_was_merged(self._company, issue)
        except AssertionError as failure:
            yield f"merged once, as voted: {_told(failure)}"

    def _new(self, findings: Iterable[str]) -> Iterator[str]:
        """Pass on what no round before has found: the books of one company keep what once went wrong in them."""
        for finding in findings:
            name = finding.partition(":")[0]
            if name not in self._known:
                self._known.add(name)
                yield finding

    def _state(self, issues: Sequence[int]) -> str:
        """Return where they stand, for whoever asks why a round does not end."""
        lines = []
        with contextlib.suppress(*AWAY):
            for table in ("projects_issue", "projects_task", "agents_run", "core_errand", "projects_request"):
                over = {"agents_run": "finished", "projects_task": "merged"}.get(table, "done")
                where = "answered_at is null" if table == "projects_request" else f"status <> '{over}'"
                lines += [f"{table}: {dict(row)}" for row in self._company.rows(f"select * from {table} where {where}")]
        return "\n".join(line[:600] for line in lines[-20:]) + "\n" + self._company.tail()[-1500:]


def _told(failure: Exception) -> str:
    """Return what an assertion says, or else where it stands and what its names stood for: pytest is not here."""
    where = traceback.extract_tb(failure.__traceback__)[-1]
    frame = [frame for frame, _ in traceback.walk_tb(failure.__traceback__)][-1]
    names = {name: value for name, value in frame.f_locals.items() if name != "company"}
    return str(failure)[:3000] or f"{where.name}, line {where.lineno}: {where.line}\n{names!r}"[:3000]


def _deck(chance: random.Random, cards: Iterable[str]) -> Iterator[str]:
    """Deal all cards again and again, shuffled anew each time."""
    pack = list(cards)
    while True:
        yield from chance.sample(pack, len(pack))
