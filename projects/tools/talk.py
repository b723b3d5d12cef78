"""Asking people, telling colleagues, remembering, reporting."""

from agents.models import Outcome, Role, Run
from agents.services import runs
from agents.tools.registry import ToolContext, ToolResult, tool
from projects.errors import NothingThere
from projects.models import Issue, Knowledge, Request
from projects.services import knowledge, news, requests, suggestions
from projects.services.requests import OTHER, Option
from projects.tools.calling import issue_of, place_of
from projects.tools.schemas import a_list, an_object, text

MOST_OPTIONS = 6


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
