"""What the rehearsal model does about the issues of these tests."""

import json
from pathlib import Path

DAY = "A day of long work"
GREETING = "Greet people by their names"
WAITING = "Say goodbye as well"
READY = "Count the amounts"
HOSTILE = "<img src=x onerror=alert(1)> & friends"

TITLES = (DAY, GREETING, WAITING, READY, HOSTILE)
LONG_TEXT = "\n\n".join(
    f"{number}. paragraph of what I found while reading: the library reads `{number}h` and writes nothing back."
    for number in ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth")
)
HOSTILE_TEXT = """\
<img src="/static/stolen.png" onerror="document.title='owned'"> <script>document.title='owned'</script>

<hx-partial hx-target="#log" hx-swap="innerHTML">gone</hx-partial>
<div hx-get="/stolen/" hx-trigger="load">load</div> <style>*{display:none}</style>

[a link](javascript:document.title='owned') ![a picture](https://elsewhere.example/stolen.png)
<a href="javascript:alert(1)" onclick="alert(1)">press</a>
"""


def turn(text: str, *calls: tuple[str, dict]) -> dict:
    return {"text": text, "calls": [{"name": name, "arguments": arguments} for name, arguments in calls]}


def run(command: str, **more: object) -> tuple[str, dict]:
    return "run", {"command": command, **more}


def play(name: str, title: str, *, plan: tuple = (), work: tuple = (), said: str = "") -> dict:
    """Return the smallest play: one task that writes one file. ``plan`` and ``work`` are turns that come before."""
    path, line = "notes/${issue}.md", "`notes/${issue}.md` exists."
    task = {"key": "note", "title": f"Write {path}", "description": "Write it down.", "files": [path], "size": "small"}
    submitted = "submit_plan", {"spec": said or "One note.", "definition_of_done": [line], "tasks": [task]}
    note = "create", {"path": path, "content": f"# {name}\n\nWritten down.\n", "overwrite": True}
    hand_in = "submit_work", {"summary": said or f"Wrote `{path}`."}
    passed = [{"criterion": line, "passed": True, "evidence": said or f"`cat {path}` shows it."}]
    report = "submit_test_report", {"verdict": "pass", "criteria": passed, "feedback": said}
    review = "submit_review", {"verdict": "approve", "summary": said or "As planned.", "findings": []}
    moves = {
        "plan": [*plan, turn("One task is enough.", submitted)],
        "implement": [*work, turn("I write the note.", note), turn("The diff.", hand_in), turn("Done.", hand_in)],
        "test": [turn("I look at it.", run(f"cat {path}")), turn("It is there.", report)],
        "review": [turn("I read it.", ("view", {"path": path})), turn("Good.", review)],
    }
    return {"name": name, "matches": title.replace("(", r"\(").replace(")", r"\)"), "moves": moves}


def write(directory: Path) -> Path:
    """Write all plays into ``directory``, where the rehearsal model looks for them."""
    question = {"question": "Which language do you speak?", "options": ["English", "Klingon"], "default": "English"}
    shout = run("printf '%s' '" + HOSTILE_TEXT.replace("'", '"') + "'")
    look = turn(LONG_TEXT, ("view", {"path": "README.md"}), run("ls -la && seq 1 40"))
    plays = [
        play(
            "day",
            DAY,
            plan=tuple(turn(f"Part {n} takes a while.", run(f"sleep {n}", timeout_s=600)) for n in (500, 501)),
        ),
        play("greeting", GREETING, plan=(look, turn("One thing I cannot know.", ("ask", question)))),
        play("goodbye", WAITING),
        play("count", READY),
        play("hostile", HOSTILE, plan=(turn(HOSTILE_TEXT, shout),), said=HOSTILE_TEXT),
    ]
    directory.mkdir()
    for each in plays:
        (directory / f"{each['name']}.json").write_text(json.dumps(each))
    return directory
