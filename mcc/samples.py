"""Rows for the style guide. They are never saved: the partials get what they need, and the database nothing of it."""

import json
from datetime import datetime, timedelta
from typing import Any

from agents.models import Agent, Breaker, Message, ModelCard, Provider, Role, Run
from agents.roster import AgentCard, Work
from agents.supply import FailingModel
from budgets.models import Account, Limit, Usage
from budgets.queries import Standing
from mcc.core.models import User
from mcc.core.money import nanousd
from projects import calls
from projects.conversation import RunEntry, Step
from projects.models import Check, Feedback, Issue, IssueStatus, OutsideCheck, Project, PullRequest, Request, Task, Vote
from projects.queries import IssueLine

CRITERIA = [
    {"criterion": "`1h 30m` is read as 5400 seconds.", "passed": True, "evidence": "`parse_duration` printed 5400.0."},
    {"criterion": "What is no duration is refused.", "passed": False, "evidence": "`banana` came back as 0."},
]
FINDING = {
    "path": "orbit/durations.py",
    "line": 43,
    "severity": "major",
    "comment": "The unit is read and then dropped: `2h` comes out as two seconds.",
}
PLAN: dict[str, Any] = {
    "spec": "The parser multiplies by the unit, and refuses what it cannot read.",
    "definition_of_done": ["`1h 30m` is read as 5400 seconds.", "What is no duration is refused."],
    "tasks": [
        {"key": "units", "title": "Multiply by the unit", "depends_on": [], "size": "small"},
        {"key": "refuse", "title": "Refuse what is no duration", "depends_on": ["units"], "size": "medium"},
    ],
}
SAID = "The unit is read and **never used**. I multiply by `UNITS[unit]`, then run the tests."
LOG = "FAIL: test_banana\n\nRan 16 tests in 0.004s\n\nFAILED (failures=1)"


class Samples:
    """What the page shows, as of ``now``."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.account = Account(pk=1, kind=Account.Kind.PROJECT, name="sample")
        self.mara = User(pk=1, username="mara", first_name="Mara", last_name="Kessler")
        self.project = Project(pk=1, key="ATL", name="Atlas", account=self.account)
        self.model = ModelCard(name="anthropic/claude-sonnet-4.5", provider=Provider(name="openrouter"))
        self.agents = {role: self._agent(pk, role) for pk, role in enumerate(Role.values, start=1)}
        self.run = self._run(1, Role.CODER)
        self.pull = PullRequest(
            pk=1,
            project=self.project,
            issue=self._issue(12, "Read durations with units"),
            number=7,
            status="open",
            title="Multiply by the unit",
            additions=4,
            deletions=2,
            head_sha="0a307aa1e4f4",
            created_at=self.ago(hours=2),
        )

    def ago(self, **passed: float) -> datetime:
        return self.now - timedelta(**passed)

    def _agent(self, pk: int, role: str) -> Agent:
        name = f"{role}-1" if role == Role.CODER else role
        return Agent(pk=pk, name=name, role=role, model=self.model, account=self.account)

    def _run(self, pk: int, role: str, status: str = Run.Status.RUNNING) -> Run:
        return Run(
            pk=pk,
            agent=self.agents[role],
            model=self.model,
            purpose="implement",
            status=status,
            cost_nanousd=nanousd("0.42"),
            worked_ms=95_000,
            input_tokens=48_200,
            output_tokens=3_100,
            created_at=self.ago(minutes=4),
        )

    def _issue(self, number: int, title: str, status: str = IssueStatus.IMPLEMENTATION, priority: int = 0) -> Issue:
        finished = self.ago(minutes=9) if status == IssueStatus.DONE else None
        return Issue(
            pk=number,
            project=self.project,
            number=number,
            title=title,
            status=status,
            account=self.account,
            priority=priority,
            started_at=self.ago(hours=1),
            finished_at=finished,
        )

    def standings(self) -> list[Standing]:
        """A calm one, one that warns, one that is over."""
        kinds = ((4, 0, Limit.Period.DAILY, "block"), (52, 3, Limit.Period.MONTHLY, "warn"), (6, 0, "total", "block"))
        limits = (25, 60, 5)
        return [
            Standing(
                Limit(amount_nanousd=nanousd(limit), period=period, action=action),
                self.now,
                None if period == "total" else self.now + timedelta(days=5),
                nanousd(spent),
                nanousd(held),
                nanousd(limit),
            )
            for (spent, held, period, action), limit in zip(kinds, limits, strict=True)
        ]

    def agent_cards(self) -> list[AgentCard]:
        coder, tester = self.agents[Role.CODER], self.agents[Role.TESTER]
        gone = Agent(pk=9, name="gone", role=Role.REVIEWER, model=self.model, account=self.account, active=False)
        return [
            AgentCard(coder, [], nanousd("1.84"), nanousd("61.2")),
            AgentCard(tester, [], 0, nanousd("12.03"), works_elsewhere=True),
            AgentCard(gone, [], 0, 0),
        ]

    def failing_models(self) -> list[FailingModel]:
        """One for each thing that may happen next."""
        card = ModelCard(name="acme/large", provider=Provider(name="openrouter"))
        reason, since = "openrouter answered 503: no capacity", self.ago(minutes=4)
        later, gone = self.ago(seconds=-40), self.ago(seconds=1)
        states = [(later, None), (self.ago(minutes=-4), None), (gone, later), (gone, None)]
        return [
            FailingModel(
                Breaker(card=card, failing_since=since, reason=reason, retry_at=retry_at, probe_until=probe_until),
                self.now,
            )
            for retry_at, probe_until in states
        ]

    def issue_lines(self) -> list[IssueLine]:
        working = Work(self.run, "python3 -m unittest discover -q")
        asking = self.requests()[0]
        titles = ("Read durations with units", "Say what a very long title does to a row that has to hold it all")
        return [
            IssueLine(self._issue(21, titles[0]), nanousd("0.42"), nanousd(5), 3, 1, [working]),
            IssueLine(
                self._issue(22, titles[1], IssueStatus.PLANNING, priority=2), nanousd("0.08"), None, 0, 0, [], [asking]
            ),
            IssueLine(self._issue(23, "Write sizes", IssueStatus.DONE), nanousd("1.12"), nanousd(5), 2, 2),
        ]

    def outside_checks(self) -> list[OutsideCheck]:
        ci = {"sha": "0a307aa1e4f4", "source": "github-actions"}
        return [
            OutsideCheck(**ci, name="build (3.12)", state="red", conclusion="failure", url="#ci", output=LOG),
            OutsideCheck(**ci, name="build (3.13)", state="pending", conclusion="in_progress", url="#ci"),
            OutsideCheck(
                sha="0a307aa1e4f4",
                source="status",
                name="coverage/a-name-without-any-place-to-break-it-" * 3,
                state="green",
                conclusion="success",
                address="https://coverage.example.org/atlas/0a307aa1e4f4",
            ),
        ]

    def feedback(self) -> list[Feedback]:
        """What waits, and what was withdrawn in time."""
        findings: list[dict[str, object]] = [{"path": "durations.py", "line": 12, "comment": "What about `1h 30m`?"}]
        said = {"head_sha": "0a307aa1e4f4", "at": self.ago(minutes=9), "url": "#review"}
        return [
            Feedback(pk=1, author="grace", text="Units may be **mixed**.", findings=findings, left_out=2, **said),
            Feedback(pk=2, author="alan", text="Rename it.", withdrawn_at=self.ago(minutes=2), **said),
        ]

    def checks(self) -> list[Check]:
        command = "python3 -m unittest discover -q"
        kinds = (
            (Check.Status.PASSED, 0, ""),
            (Check.Status.FAILED, 1, LOG),
            ("error", None, ""),
            ("running", None, ""),
        )
        checks = [
            Check(
                pk=pk,
                name="tests",
                command=command,
                sha="0a307aa1e4f4",
                status=status,
                exit_code=code,
                on="merged_tree" if pk == 1 else "head",
            )
            for pk, (status, code, _) in enumerate(kinds, start=1)
        ]
        for check, (_, _, tail) in zip(checks, kinds, strict=True):
            vars(check)["tail"] = tail  # as the query of the page annotates it
        return checks

    def votes(self) -> list[Vote]:
        tester, reviewer = self.agents[Role.TESTER], self.agents[Role.REVIEWER]
        told: dict[str, Any] = {"pull_request": self.pull, "head_sha": "0a307aa1e4f4", "at": self.ago(minutes=9)}
        return [
            Vote(pk=1, kind="reviewer", verdict="approve", agent=reviewer, summary="Small and tested.", **told),
            Vote(
                pk=2, kind="reviewer", verdict="reject", agent=reviewer, summary="Not yet.", findings=[FINDING], **told
            ),
            Vote(pk=3, kind="tester", verdict="reject", agent=tester, criteria=CRITERIA, **told),
            Vote(pk=4, kind="person", verdict="approve", user=self.mara, **told),
        ]

    def run_entry(self) -> RunEntry:
        order = Message(pk=1, role="user", is_order=True, content="Do task `units`.")
        person = Message(pk=2, role="user", user=self.mara, content="Mind `0s`.", created_at=self.ago(minutes=3))
        reminder = Message(pk=3, role="user", content="Three steps are left.")
        steps = [Step(order), self._step(10), Step(person), Step(reminder), self._step(11, *self._drawn())]
        return RunEntry(self.run, Task(pk=1, title="Multiply by the unit"), steps)

    def _drawn(self) -> list[tuple[str, dict[str, Any]]]:
        """The calls that are worth more than a line."""
        report = {"verdict": "fail", "criteria": CRITERIA, "feedback": "One line is not met."}
        review = {"verdict": "approve", "summary": "It does what was asked.", "findings": []}
        return [("submit_plan", PLAN), ("submit_test_report", report), ("submit_review", review)]

    def _step(self, pk: int, *drawn: tuple[str, dict[str, Any]]) -> Step:
        """An answer with its calls: those given, or one of each kind that is a line: right, wrong, under way."""
        plain = [
            ("run", {"command": "python3 -m unittest discover -q"}),
            ("edit", {"path": "orbit/durations.py", "old": "float(amount)", "new": "float(amount) * UNITS[unit]"}),
            ("view", {"path": "orbit/durations.py"}),
        ]
        made = [
            {"id": f"c{index}", "name": name, "arguments": json.dumps(arguments)}
            for index, (name, arguments) in enumerate(drawn or plain)
        ]
        usage = Usage(input_tokens=6_100, cached_tokens=4_000, output_tokens=210, cost_nanousd=nanousd("0.0213"))
        answer = Message(
            pk=pk, role="assistant", content="" if drawn else SAID, tool_calls=made, usage=usage, duration_ms=1_900
        )
        details = {"run": {"exit_code": 1, "ending": "exited"}, "edit": {"added": 1, "removed": 1}}
        results = [
            Message(
                pk=pk * 10 + index,
                role="tool",
                tool_call_id=call["id"],
                content=LOG,
                duration_ms=400,
                detail=details.get(call["name"], {}),
            )
            for index, call in enumerate(made)
            if call["name"] != "view"
        ]
        return Step(answer, calls.cards(answer, results))

    def requests(self) -> list[Request]:
        """A question, a plan, one that is answered, one that is void."""
        issue = self._issue(31, "Read durations with units")
        told: dict[str, Any] = {"issue": issue, "project": self.project, "created_at": self.ago(minutes=4)}
        plan = [
            {"value": "approve", "label": "Approve the plan"},
            {"value": "changes", "label": "Ask for changes", "wants_text": True},
            {"value": "cancel_issue", "label": "Cancel the issue"},
        ]
        wanted = "Is this the right plan for ATL-31?"
        words = [{"value": "yes", "label": "Refuse it"}, {"value": "no", "label": "Read it as zero"}]
        question, architect = "What shall happen with `banana`?", self.agents[Role.ARCHITECT]
        return [
            Request(pk=1, kind="question", question=question, agent=architect, options=words, **told),
            Request(pk=2, kind="plan", question=wanted, options=plan, detail=PLAN["spec"], **told),
            Request(
                pk=3,
                kind="question",
                question=question,
                options=words,
                answer="yes",
                answered_by=self.mara,
                answered_at=self.ago(minutes=1),
                **told,
            ),
            Request(pk=4, kind="plan", question=wanted, options=plan, withdrawn_at=self.now, **told),
        ]
