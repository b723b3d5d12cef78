"""What the company offers to agents: handing work in, asking, telling, remembering.

A call may be executed again after a crash: everything is written down under ``context.key`` or found again.
"""

from typing import Any

from agents.models import Outcome, Role, Run
from agents.services import runs
from agents.tools.registry import JSON, ToolContext, ToolResult, tool
from projects.diffs import stat
from projects.errors import NotYours, NothingThere
from projects.models import Assignment, Issue, Knowledge, Request, Task, Vote
from projects.orders import fenced
from projects.plans import parse
from projects.services import handing_in, knowledge, news, planning, proof, requests, suggestions
from projects.services.requests import OTHER, Option
from projects.workplaces import ProjectPlace, TaskPlace

DIFF_CHARACTERS = 20_000
MOST_OPTIONS = 6
NOTHING_CHANGED = (
    "Nothing is changed yet. Do the task; if there is truly nothing to do, call submit_work again and say why."
)


def assignment_of(run: Run) -> Assignment:
    """Return which piece of the company's work the run is. Raises NotYours."""
    found = Assignment.objects.filter(run=run).select_related("issue__project", "task", "run__agent").first()
    if found is None:
        raise NotYours("This conversation is not about an issue.")
    return found


def task_of(assignment: Assignment) -> Task:
    if assignment.task is None:
        raise NotYours("This conversation is not about a task.")
    return assignment.task


def place_of(context: ToolContext) -> ProjectPlace:
    """Return where in the company the run works: a project, and an issue and a task if it is about one."""
    if isinstance(context.workplace, ProjectPlace):
        return context.workplace
    raise NotYours("This conversation belongs to no project.")


def issue_of(context: ToolContext) -> Issue:
    issue = place_of(context).issue
    if issue is None:
        raise NotYours("This conversation is not about an issue.")
    return issue


def text(description: str, **more: object) -> JSON:
    return {"type": "string", "description": description, **more}


def an_object(properties: JSON, *optional: str) -> JSON:
    """Return the schema of an object in which everything is required but ``optional``."""
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def a_list(items: JSON, description: str = "") -> JSON:
    return {"type": "array", "items": items, **({"description": description} if description else {})}


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
)
def submit_work(context: ToolContext, summary: str) -> ToolResult:
    assignment = assignment_of(context.run)
    place = context.workplace
    if not isinstance(place, TaskPlace):
        raise NotYours("There is no task here whose work could be handed in.")
    place.sandbox()
    asked_before = assignment.asked_key not in ("", context.key)
    if not asked_before:
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
        f"This is what would be handed in:\n{stat(diff)}\n\n{fenced(shown, info='diff')}{cut}\n\n"
        f"Before you submit:\n- Does it meet its part of the definition of done?\n{lines}\n"
        "- Is there a test for what changed, and did you run all tests?\n"
        "- Is anything left over: debug output, scratch files, comments that no longer hold?\n"
        "Mend what is missing, then call submit_work again.",
        full_output=diff if cut else None,
        output_bytes=len(diff.encode()),
    )


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
)
def submit_review(context: ToolContext, verdict: str, summary: str, findings: list[JSON] | None = None) -> ToolResult:
    findings = findings or []
    if verdict == "request_changes" and not findings:
        raise NothingThere("Say what has to change: request_changes needs at least one finding.")
    assignment = assignment_of(context.run)
    return _vote(context, assignment, Vote.Kind.REVIEWER, verdict == "approve", summary=summary, findings=findings)


def _vote(context: ToolContext, assignment: Assignment, kind: Vote.Kind, approve: bool, **said: Any) -> ToolResult:
    pull = task_of(assignment).pull_request
    verdict = Vote.Verdict.APPROVE if approve else Vote.Verdict.REJECT
    proof.cast(pull, kind, verdict, head_sha=assignment.head_sha, run=assignment.run, **said)
    Assignment.objects.filter(pk=assignment.pk).update(submitted_key=context.key)
    return ToolResult(f"Your vote is counted: {verdict.label.lower()}.", outcome=Outcome.SUBMITTED)


@tool(
    "ask",
    "Ask a person a question and wait for the answer. Only for what you cannot find out or decide yourself.",
    an_object(
        {
            "question": text("one question, with what one must know to answer it"),
            "options": a_list({"type": "string"}, "answers to choose from; the person may write another"),
            "default": text("which option you would take"),
        },
        "options",
        "default",
    ),
)
def ask(context: ToolContext, question: str, options: list[str] | None = None, default: str = "") -> ToolResult:
    issue = issue_of(context)
    offered = [Option(label[:200], label[:200]) for label in (options or [])[:MOST_OPTIONS] if label.strip()]
    request = requests.open(
        Request.Kind.QUESTION,
        issue,
        key=f"ask:{context.key}",
        question=question,
        options=[*offered, Option(OTHER, "Say it in your own words", wants_text=True)],
        default=default[:200],
        task=place_of(context).task,
        run=context.run,
        agent=context.run.agent,
    )
    if request.answered_at is not None:
        return ToolResult(f"The answer: {requests.words(request)}")
    if request.withdrawn_at is not None:
        return ToolResult("The question was withdrawn. Decide yourself and say so in your summary.")
    return ToolResult("Waiting for a person.", waits_for="answer")


@tool(
    "message",
    "Tell somebody on the team something; do not wait for an answer. They hear it at their next step.",
    an_object({"to": text("@human, a role (@architect) or a name (@coder-1)"), "text": text("what to say")}),
)
def message(context: ToolContext, to: str, text: str) -> ToolResult:
    issue = issue_of(context)
    name = to.strip().removeprefix("@").lower()
    if name in ("human", "person"):
        news.note(issue, text, agent=context.run.agent.name)
        return ToolResult("People who look at this issue see it.")
    other = _run_of(issue, context.run, name)
    sender = context.run.agent
    content = f"@{sender.name}: {text}"
    said_already = other.conversation.messages.filter(
        agent=sender, content=content, created_at__gte=context.run.created_at
    )
    if not said_already.exists():
        runs.say(other.conversation, content, agent=sender)
    return ToolResult(f"{other.agent.name} will hear it.")


def _run_of(issue: Issue, sender: Run, name: str) -> Run:
    """Return the last run on the issue of whoever is called ``name`` or has that role, but for the sender."""
    others = Run.objects.filter(assignment__issue=issue).exclude(agent=sender.agent)
    matching = others.filter(agent__name=name) | others.filter(agent__role=name)
    found = matching.select_related("agent", "conversation").order_by("-pk").first()
    if found is None:
        raise NothingThere(f"Nobody called @{name} works on this issue yet. @human always hears you.")
    return found


@tool(
    "remember",
    "Write down something about this project that whoever works on it later should know.",
    an_object(
        {
            "text": text("one fact, decision, convention or pitfall, complete in itself"),
            "kind": {"type": "string", "enum": [str(kind) for kind in Knowledge.Kind.values]},
        }
    ),
)
def remember(context: ToolContext, text: str, kind: str) -> ToolResult:
    place = place_of(context)
    author = context.run.agent
    knowledge.remember(place.project, text, kind=Knowledge.Kind(kind), key=context.key, agent=author, issue=place.issue)
    return ToolResult("Written down.")


@tool("recall", "Look up what the company knows about this project.", an_object({"query": text("what about")}))
def recall(context: ToolContext, query: str) -> ToolResult:
    rows = knowledge.recall(place_of(context).project, query)
    if not rows:
        return ToolResult("Nothing is known about that.")
    return ToolResult("\n".join(f"- ({row.kind}) {row.text}" for row in rows))


@tool(
    "propose_issue",
    "Propose work. A person decides whether it is done.",
    an_object(
        {
            "title": text("one line"),
            "body": text("what is wanted"),
            "rationale": text("why it is worth it, with evidence"),
            "effort": text("small, medium or large"),
        }
    ),
    roles=[Role.ORCHESTRATOR],
)
def propose_issue(context: ToolContext, title: str, body: str, rationale: str, effort: str) -> ToolResult:
    suggestions.propose(
        place_of(context).project,
        title=title[:200],
        body=body,
        rationale=rationale,
        effort=effort[:20],
        key=context.key,
        run=context.run,
    )
    return ToolResult("Proposed. A person decides.")


@tool(
    "submit_report",
    "Hand in your report on the project.",
    an_object({"markdown": text("one page, Markdown")}),
    roles=[Role.ORCHESTRATOR],
)
def submit_report(context: ToolContext, markdown: str) -> ToolResult:
    suggestions.report(place_of(context).project, context.run, markdown)
    return ToolResult("Handed in.", outcome=Outcome.SUBMITTED)
