"""Handing work in: plan, code, judgements. What is handed in moves nothing by itself; the scheduler looks."""

import re
from collections.abc import Sequence

from agents.models import Outcome, Role
from agents.tools.registry import JSON, ToolContext, ToolResult, tool
from projects import diffs
from projects.errors import NothingThere, NotYours
from projects.models import Assignment, Issue, Vote
from projects.orders import fenced
from projects.plans import parse
from projects.services import handing_in, planning, proof
from projects.tools.calling import assignment_of, task_of
from projects.tools.schemas import a_list, an_object, text
from projects.workplaces import TaskPlace

DIFF_CHARACTERS = 20_000
LEFTOVER = re.compile(
    r"(^|/)(__pycache__|node_modules|\.venv|\.pytest_cache|\.mypy_cache|\.ruff_cache|\.DS_Store)(/|$)"
    r"|\.(pyc|class|o|orig|rej|swp|tmp)$"
)
NOTHING_CHANGED = (
    "Nothing is changed yet. Do the task; if there is truly nothing to do, call submit_work again and say why."
)

PLANNED_TASK = an_object(
    {
        "key": text("short name, small letters, digits and dashes"),
        "title": text("one line"),
        "description": text("what to do and what to mind"),
        "depends_on": a_list({"type": "string"}, "keys of tasks that must be merged before"),
        "files": a_list({"type": "string"}, "paths that it will change or create"),
        "size": {"type": "string", "enum": ["small", "medium", "large"]},
    },
    "depends_on",
    "files",
    "size",
)


@tool(
    "submit_plan",
    "Hand in the plan. It replaces an earlier one and ends your work until somebody asks for changes.",
    an_object(
        {
            "spec": text("what is wanted and how it will be done"),
            "definition_of_done": a_list({"type": "string"}, "lines that a tester can judge one by one"),
            "tasks": a_list(PLANNED_TASK),
        }
    ),
    roles=[Role.ARCHITECT],
    submits=True,
)
def submit_plan(context: ToolContext, spec: str, definition_of_done: list[str], tasks: list[JSON]) -> ToolResult:
    plan = parse(spec, definition_of_done, tasks)
    planning.submit(assignment_of(context.run), plan, key=context.key)
    order = ", ".join(task.key for task in plan.tasks)
    return ToolResult(f"The plan is handed in: {order}.", outcome=Outcome.SUBMITTED)


@tool(
    "submit_work",
    "Hand in the work tree. The first call shows you the diff and a checklist; call again to submit.",
    an_object({"summary": text("what you changed and why, for the pull request")}),
    roles=[Role.CODER],
    submits=True,
)
def submit_work(context: ToolContext, summary: str) -> ToolResult:
    assignment = assignment_of(context.run)
    place = context.workplace
    if not isinstance(place, TaskPlace):
        raise NotYours("There is no task here whose work could be handed in.")
    place.sandbox()
    if not assignment.asked_key or _step(assignment.asked_key) == _step(context.key):
        Assignment.objects.filter(pk=assignment.pk).update(asked_key=context.key)
        return _checklist(assignment, place)
    handover = handing_in.hand_in(assignment, place.workspace, summary, key=context.key)
    if handover is None:
        return ToolResult("Noted: nothing to change.", outcome=Outcome.NO_CHANGE, outcome_detail=summary[:500])
    pull = handover.pull
    return ToolResult(
        f"Handed in as #{pull.number}: +{handover.additions} -{handover.deletions}. Checks run now.",
        outcome=Outcome.SUBMITTED,
        detail={"pull": pull.pk, "added": handover.additions, "removed": handover.deletions},
    )


def _step(key: str) -> str:
    """Return the step that a call belongs to: two calls in one answer are not two looks at the diff."""
    return key.rpartition("c")[0]


def _checklist(assignment: Assignment, place: TaskPlace) -> ToolResult:
    """Show what would be handed in, so that leftovers are seen before a reviewer sees them."""
    task = task_of(assignment)
    task.refresh_from_db()
    diff = place.workspace.diff(task.base_sha)
    if not diff.strip():
        return ToolResult(NOTHING_CHANGED, is_error=True)
    lines = "\n".join(f"- {line}" for line in assignment.issue.definition_of_done)
    shown = diff[:DIFF_CHARACTERS]
    cut = f"\n(cut, {len(diff) - DIFF_CHARACTERS} characters more)" if len(diff) > DIFF_CHARACTERS else ""
    return ToolResult(
        f"This is what would be handed in:\n{diffs.stat(diff)}\n\n{fenced(shown, info='diff')}{cut}\n\n"
        f"Before you submit:\n- Does it meet its part of the definition of done?\n{lines}\n"
        "- Is there a test for what changed, and did you run all tests?\n"
        f"- Is anything left over: debug output, scratch files, comments that no longer hold?{_suspects(diff)}\n"
        "Mend what is missing, then call submit_work again.",
        full_output=diff if cut else None,
        output_bytes=len(diff.encode()),
    )


def _suspects(diff: str) -> str:
    """Name the files in ``diff`` that nobody means to hand in."""
    names = [change.path for change in diffs.changes(diff) if LEFTOVER.search(change.path)]
    return f" These look like it: {', '.join(names[:10])}. Delete them or name them in .gitignore." if names else ""


CRITERION = an_object(
    {
        "criterion": text("the line of the definition of done, word for word"),
        "passed": {"type": "boolean"},
        "evidence": text("what you did and saw: command and output"),
    }
)


@tool(
    "submit_test_report",
    "Hand in your judgement of the commit: every line of the definition of done, with evidence.",
    an_object(
        {
            "verdict": {"type": "string", "enum": ["pass", "fail"]},
            "criteria": a_list(CRITERION),
            "feedback": text("what the coder must know"),
        },
        "feedback",
    ),
    roles=[Role.TESTER],
    submits=True,
)
def submit_test_report(context: ToolContext, verdict: str, criteria: list[JSON], feedback: str = "") -> ToolResult:
    assignment = assignment_of(context.run)
    _require_every_line(assignment.issue, criteria)
    passed = verdict == "pass" and all(criterion.get("passed") for criterion in criteria)
    return _vote(context, assignment, Vote.Kind.TESTER, passed, summary=feedback, criteria=criteria)


def _require_every_line(issue: Issue, criteria: list[JSON]) -> None:
    judged = {" ".join(str(criterion.get("criterion", "")).split()).lower() for criterion in criteria}
    missing = [line for line in issue.definition_of_done if " ".join(line.split()).lower() not in judged]
    if missing:
        raise NothingThere("These lines of the definition of done are not judged, word for word: " + "; ".join(missing))
    bare = [c["criterion"] for c in criteria if not str(c.get("evidence", "")).strip()]
    if bare:
        raise NothingThere("Evidence is missing for: " + "; ".join(bare))


FINDING = an_object(
    {
        "path": text("file"),
        "line": {"type": "integer", "minimum": 0, "description": "line in the new file; 0 for the file as a whole"},
        "severity": {"type": "string", "enum": ["blocker", "major", "minor"]},
        "comment": text("what is wrong and what would be right"),
    },
    "line",
)


@tool(
    "submit_review",
    "Hand in your judgement of the diff.",
    an_object(
        {
            "verdict": {"type": "string", "enum": ["approve", "request_changes"]},
            "summary": text("the gist, in a few sentences"),
            "findings": a_list(FINDING),
        },
        "findings",
    ),
    roles=[Role.REVIEWER],
    submits=True,
)
def submit_review(context: ToolContext, verdict: str, summary: str, findings: list[JSON] | None = None) -> ToolResult:
    findings = findings or []
    if verdict == "request_changes" and not findings:
        raise NothingThere("Say what has to change: request_changes needs at least one finding.")
    assignment = assignment_of(context.run)
    return _vote(context, assignment, Vote.Kind.REVIEWER, verdict == "approve", summary=summary, findings=findings)


def _vote(
    context: ToolContext,
    assignment: Assignment,
    kind: Vote.Kind,
    approve: bool,
    *,
    summary: str,
    findings: Sequence[JSON] = (),
    criteria: Sequence[JSON] = (),
) -> ToolResult:
    pull = task_of(assignment).pull_request
    verdict = Vote.Verdict.APPROVE if approve else Vote.Verdict.REJECT
    proof.cast(
        pull,
        kind,
        verdict,
        head_sha=assignment.head_sha,
        run=assignment.run,
        summary=summary,
        findings=findings,
        criteria=criteria,
    )
    Assignment.objects.filter(pk=assignment.pk).update(submitted_key=context.key)
    return ToolResult(f"Your vote is counted: {verdict.label.lower()}.", outcome=Outcome.SUBMITTED)
