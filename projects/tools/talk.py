"""Asking people, telling colleagues, remembering, reporting."""

from agents.models import Outcome, Role
from agents.services import memory, runs
from agents.tools.registry import ToolContext, ToolResult, tool
from projects.models import Knowledge, Request
from projects.orders import fenced
from projects.services import knowledge, news, requests, suggestions, talking
from projects.services.requests import Option
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
        options=[*offered, Option(Request.OTHER, "Say it in your own words", wants_text=True)],
        default=default[:200],
        task=place_of(context).task,
        run=context.run,
        agent=context.run.agent,
    )
    if request.answered_at is not None:
        return ToolResult(f"The answer: {request.answer_in_words}")
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
    other = talking.last_run(issue, name, but=context.run.agent)
    sender = context.run.agent
    content = f"@{sender.name}: {text}"
    said_already = other.conversation.messages.filter(
        agent=sender, content=content, created_at__gte=context.run.created_at
    )
    if not said_already.exists():
        runs.say(other.conversation, content, agent=sender)
    return ToolResult(f"{other.agent.name} will hear it.")


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


@tool(
    "recall",
    "Look up what the company knows about this project, and what fell out of this conversation: condensed messages and "
    "the left-out middle of long outputs.",
    an_object({"query": text("words that must be in it")}),
)
def recall(context: ToolContext, query: str) -> ToolResult:
    known = [f"- ({row.kind}) {row.text}" for row in knowledge.recall(place_of(context).project, query)]
    earlier = [
        f"Earlier in this conversation, {passage.source} (message {passage.message}):\n{fenced(passage.text)}"
        for passage in memory.passages(context.run, query)
    ]
    parts = ["\n".join(known), *earlier] if known else earlier
    return ToolResult("\n\n".join(parts) or "Nothing is known about that.")


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
    submits=True,
)
def submit_report(context: ToolContext, markdown: str) -> ToolResult:
    suggestions.report(place_of(context).project, context.run, markdown)
    return ToolResult("Handed in.", outcome=Outcome.SUBMITTED)
