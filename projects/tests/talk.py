"""Runs that have said and done something, as the runner would have written it down."""

import json

from agents.models import Message, Purpose, Role, Run
from projects.models import Issue, Task
from projects.services import staffing


def run_on(issue: Issue, task: Task | None = None, *, role: Role = Role.CODER, purpose=Purpose.IMPLEMENT) -> Run:
    """Return a run about ``issue`` that is being driven."""
    agent = issue.project.team.filter(role=role).order_by("pk")[issue.assignments.count() % 2 if role == "coder" else 0]
    run = staffing.begin(issue, agent, purpose, "Do it.", workplace=f"issue:{issue.pk}", task=task).run
    Run.objects.filter(pk=run.pk).update(status=Run.Status.RUNNING)
    run.refresh_from_db()
    return run


def answer(run: Run, text: str = "", *calls: tuple[str, dict]) -> Message:
    """Let the model of ``run`` answer: ``calls`` are (tool, arguments); their ids are ``c0``, ``c1``, …"""
    step = run.step
    Run.objects.filter(pk=run.pk).update(step=step + 1)
    run.refresh_from_db()
    return Message.objects.create(
        conversation=run.conversation,
        run=run,
        step=step,
        role=Message.Role.ASSISTANT,
        agent=run.agent,
        content=text,
        tool_calls=[
            {"id": f"c{number}", "name": name, "arguments": json.dumps(arguments)}
            for number, (name, arguments) in enumerate(calls)
        ],
        duration_ms=1_500,
    )


def result(answered: Message, content: str = "done", *, call: int = 0, **fields) -> Message:
    """Let a tool return."""
    return Message.objects.create(
        conversation=answered.conversation,
        run=answered.run,
        step=answered.step,
        role=Message.Role.TOOL,
        content=content,
        tool_call_id=f"c{call}",
        tool_name=answered.tool_calls[call]["name"],
        **{"duration_ms": 200, **fields},
    )
