"""What the rehearsal model does when no play fits: the smallest honest tour through the company.

Plan one note, write it, look at it, approve it. Every text says that this is a rehearsal.
"""

import re
from collections.abc import Callable, Sequence

from agents.rehearsal.plays import Call, Turn
from agents.rehearsal.prompt import Prompt

REPORT = """\
# Stand-up, in a rehearsal

No model is connected, so nobody has looked at the code: this page only shows where a report will stand.
"""
LAST_WORD = Turn(
    "That was my part. This is a rehearsal: no model is connected, so there is nothing more that I can do."
)


def turns(prompt: Prompt) -> Sequence[Turn]:
    """Return the turns for ``prompt`` by its purpose; what is not known is answered like a chat."""
    return _MOVES.get(prompt.purpose, _chat)(prompt)


def _path(prompt: Prompt) -> str:
    name = re.sub(r"[^a-z0-9]+", "-", (prompt.issue or "rehearsal").lower()).strip("-")
    return f"notes/{name or 'rehearsal'}.md"


def _plan(prompt: Prompt) -> Sequence[Turn]:
    path = _path(prompt)
    plan = {
        "spec": f"This is a rehearsal: no model is connected. To show how work moves through the company, a note "
        f"is written to `{path}`. Nothing else changes.",
        "definition_of_done": [f"`{path}` exists.", "The note says which issue it belongs to."],
        "tasks": [
            {
                "key": "note",
                "title": f"Write {path}",
                "description": f"Create `{path}` with a heading and one paragraph about the issue.",
                "depends_on": [],
                "files": [path],
                "size": "small",
            }
        ],
    }
    return (
        Turn("This is a rehearsal. I look at what is there before I plan.", (Call("run", {"command": "ls"}),)),
        Turn("One small task is enough for a rehearsal.", (Call("submit_plan", plan),)),
    )


def _work(prompt: Prompt) -> Sequence[Turn]:
    path = _path(prompt)
    note = (
        f"# {prompt.issue or 'A rehearsal'}\n\n"
        f"This note was written in a rehearsal of {prompt.issue or 'an issue'}: no model was connected.\n"
        f"\n- purpose: {prompt.purpose}\n- round: {prompt.round}\n"
    )
    submit = Call("submit_work", {"summary": f"Rehearsal: wrote `{path}`."})
    return (
        Turn("This is a rehearsal. First a look around.", (Call("run", {"command": "ls"}),)),
        Turn(f"I write `{path}`.", (Call("create", {"path": path, "content": note, "overwrite": True}),)),
        Turn("The note is written; I ask for the checklist.", (submit,)),
        Turn("The diff holds the note and nothing else.", (submit,)),
    )


def _test(prompt: Prompt) -> Sequence[Turn]:
    path = _path(prompt)
    lines = prompt.definition_of_done or [f"`{path}` exists."]
    report = {
        "verdict": "pass",
        "criteria": [
            {"criterion": line, "passed": True, "evidence": f"Rehearsal: `cat {path}` shows the note."}
            for line in lines
        ],
        "feedback": "This is a rehearsal: the note was looked at, and no model judged it.",
    }
    return (
        Turn("This is a rehearsal. I look at the note.", (Call("run", {"command": f"cat {path}"}),)),
        Turn("The note is there.", (Call("submit_test_report", report),)),
    )


def _review(prompt: Prompt) -> Sequence[Turn]:
    review = {
        "verdict": "approve",
        "summary": "This is a rehearsal: the change holds the note that was asked for, and no model judged it.",
        "findings": [],
    }
    return (
        Turn("This is a rehearsal. I read the note.", (Call("view", {"path": _path(prompt)}),)),
        Turn("The change is what the plan says.", (Call("submit_review", review),)),
    )


def _condense(prompt: Prompt) -> Sequence[Turn]:
    return (Turn(f"Rehearsal, in short: {len(prompt.messages)} messages so far. The work goes on as planned."),)


def _report(prompt: Prompt) -> Sequence[Turn]:
    return (Turn("I report what a rehearsal can see.", (Call("submit_report", {"markdown": REPORT}),)),)


def _chat(prompt: Prompt) -> Sequence[Turn]:
    return (
        Turn(
            "Hello! I have read your message, but this is a rehearsal: no model is connected, so I can only play my "
            "part. Set `OPENROUTER_API_KEY` to talk to a real one."
        ),
    )


_MOVES: dict[str, Callable[[Prompt], Sequence[Turn]]] = {
    "plan": _plan,
    "implement": _work,
    "fix": _work,
    "resolve": _work,
    "test": _test,
    "review": _review,
    "standup": _report,
    "suggest": _report,
    "condense": _condense,
}
