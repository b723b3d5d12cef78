"""How an issue's stream looks: fragments for whoever has one of its pages open, whoever that is.

An event draws what it is about. Stages, rail and counts follow from many of them: they are the state of the stream.

Two swap styles of ours (``static/mcc/js/swaps.js``) make every event harmless when it comes twice: ``upsert`` puts an
element in the place of the one with its id, or at the end; ``insert`` adds it only where it is missing.
"""

from typing import Any

from django.template.loader import render_to_string

from agents import window
from agents.models import Condensation, Message, Run, Rung
from budgets.queries import spent_nanousd, standings
from mcc.core import live
from mcc.core.live import renderer
from mcc.core.models import Event
from projects import conversation
from projects.issue_page import issue_page
from projects.models import Issue, PullRequest
from projects.pull_page import pull_page

PREFIX = "issue:"
MOVING = ("run", "issue", "task", "pull", "check", "vote", "request")
"""Events after which stages, rail and counts may be others."""


def on_issue(event: Event) -> bool:
    """Whether the event is on the stream of an issue: those of projects and of the company carry only keys."""
    return event.stream.name.startswith(PREFIX)


@renderer("message")
def message(event: Event) -> str:
    """A new answer, the result of a tool, or something that was said: its step as it is now."""
    if not on_issue(event):
        return ""
    row = Message.objects.select_related("usage", "agent", "user", "run__model").get(pk=event.data["message"])
    is_answer = row.role == Message.Role.ASSISTANT
    context: dict[str, Any] = {"step": conversation.step_of(row), "run": row.run, "is_answer": is_answer}
    if is_answer:
        issue = _issue(event)
        context["window"] = window.meters([row.run])[row.run.pk] if row.run else None
        cost = {"cost_nanousd": spent_nanousd(issue.account), "standings": standings(issue.account)}
        context |= {"issue": issue, **cost}
    return render_to_string("projects/live/message.html", context)


@renderer("condensed")
def condensed(event: Event) -> str:
    """The middle of a run's conversation gave way to notes: the notes where they stand, and how full the window is."""
    if not on_issue(event):
        return ""
    row = Condensation.objects.select_related("usage", "run__model").get(pk=event.data["condensation"])
    context = {"step": conversation.NotesStep(row), "run": row.run, "window": window.meters([row.run])[row.run_id]}
    return render_to_string("projects/live/condensed.html", context)


@renderer("rung")
def rung(event: Event) -> str:
    """A run was found not to get on: what was noticed and done where it stands, and how often by now."""
    if not on_issue(event):
        return ""
    row = Rung.objects.select_related("run").get(pk=event.data["rung"])
    counts = conversation.RungCounts.of(row.run.rungs.filter(pk__lte=row.pk))
    context = {"step": conversation.RungStep(row), "run": row.run, "rungs": counts}
    return render_to_string("projects/live/rung.html", context)


@renderer("delta", quick=True)
def delta(event: Event) -> str:
    """What a model is writing this moment, block by block."""
    if not on_issue(event):
        return ""
    blocks = [{"index": index, "text": text} for index, text, _ in event.data["blocks"]]
    return render_to_string("projects/live/delta.html", {"data": event.data, "blocks": blocks})


@renderer("doing")
def doing(event: Event) -> str:
    if not on_issue(event):
        return ""
    run = Run.objects.select_related("agent").get(pk=event.data["run"])
    if not run.is_open:
        return ""
    return render_to_string("projects/live/doing.html", {"run": run, "doing": event.data["text"]})


@renderer("run")
def run(event: Event) -> str:
    """A run began, waits, goes on or ended."""
    if not on_issue(event):
        return ""
    row = Run.objects.select_related("agent", "model__provider", "conversation").get(pk=event.data["run"])
    entry = conversation.entries_of([row])[0]
    return render_to_string("projects/live/run.html", {"entry": entry, "run": row, "task": entry.task})


@renderer("issue")
def moved(event: Event) -> str:
    """The issue itself changed: what can be done with it, which each page fetches itself, and whether it is paused."""
    return render_to_string("projects/live/moved.html", {"issue": _issue(event)}) if on_issue(event) else ""


@renderer("pull")
@renderer("check")
@renderer("vote")
def evidence(event: Event) -> str:
    """A pull request, a check or a vote changed: what speaks about its commit."""
    if not on_issue(event):
        return ""
    pull = PullRequest.objects.select_related("project").filter(task=event.data.get("task")).first()
    if pull is None:
        return ""
    context = {"page": pull_page(pull), "pull": pull, "moved": event.kind == "pull"}
    return render_to_string("projects/live/evidence.html", context)


@renderer("request")
def request(event: Event) -> str:
    """A question came up or was answered: each page fetches it itself, for not everybody may answer."""
    if not on_issue(event):
        return ""
    return render_to_string("projects/live/request.html", {"pk": event.data["request"]})


@live.state("issue", after=MOVING)
def state(key: str) -> str:
    """Stages, rail and counts of the issue."""
    issue = _issue_at(int(key))
    return render_to_string("projects/live/state.html", {"page": issue_page(issue), "issue": issue})


def _issue(event: Event) -> Issue:
    return _issue_at(int(event.stream.name.removeprefix(PREFIX)))


def _issue_at(pk: int) -> Issue:
    return Issue.objects.select_related("project__account", "account", "created_by").get(pk=pk)
