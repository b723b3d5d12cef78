"""What the rehearsal model does about the demo issue: every command, edit and vote below really happens.

Two tasks are coded side by side and a third builds on both. ``sizes`` is handed in with a red test and comes back
from Mission Control's own check; ``durations`` passes every check and comes back from the Reviewer, who tried a
negative amount.
"""

import re

from agents.rehearsal import plays
from agents.rehearsal.plays import Call, Play, Turn
from projects.demo import code, story

TESTS = "python3 -m unittest discover -q"

LINES = {
    "durations": "`format_duration` in `orbit/durations.py` turns seconds into the shortest text that `parse_duration` "
    "reads back; nothing at all is `0s`.",
    "sizes": "`format_size` in `orbit/sizes.py` turns bytes into the largest binary unit that fits, with at most one "
    "decimal: 1048575 is `1 MiB`.",
    "command": "`python3 -m orbit 5400s 1536KiB` prints `1h 30m` and `1.5 MiB`, one a line; what it cannot read "
    "goes to standard error, and the exit code is 2.",
    "tests": f"Everything new has a test, and `{TESTS}` passes.",
}


def turn(text: str, *calls: Call) -> Turn:
    return Turn(text, calls)


def run(command: str) -> Call:
    return Call("run", {"command": command})


def view(path: str) -> Call:
    return Call("view", {"path": path})


def edit(path: str, old: str, new: str) -> Call:
    return Call("edit", {"path": path, "old": old, "new": new})


def create(path: str, content: str) -> Call:
    return Call("create", {"path": path, "content": content})


def handing_in(summary: str) -> tuple[Turn, Turn]:
    """Return the two turns of handing in: reading the diff, then submitting."""
    submit = Call("submit_work", {"summary": summary})
    return turn("Before I hand it in I read the whole diff.", submit), turn("The diff is what I meant.", submit)


def report(evidence: dict[str, str], feedback: str) -> Call:
    """Return a passing report; the lines without evidence are other tasks' to deliver."""
    criteria = [
        {
            "criterion": line,
            "passed": True,
            "evidence": evidence.get(key) or f"Not this commit's to deliver: task `{key}` of the plan does it.",
        }
        for key, line in LINES.items()
    ]
    return Call("submit_test_report", {"verdict": "pass", "criteria": criteria, "feedback": feedback})


def approval(summary: str) -> Call:
    return Call("submit_review", {"verdict": "approve", "summary": summary, "findings": []})


PLAN = (
    turn(
        "First what is there, and how it is tested.",
        view("README.md"),
        view("orbit/durations.py"),
        view("orbit/sizes.py"),
    ),
    turn("Both modules only read. I want to see the tests run before I plan on them.", run(TESTS), view("tests")),
    turn(
        "Writing durations and writing sizes touch different files, so two people can do them at once; the command "
        "needs both.",
        Call(
            "submit_plan",
            {
                "spec": "Each module gets the counterpart of its parser: `format_duration(seconds)` and "
                "`format_size(size)`, both returning text that the parser of the module reads back. "
                "`orbit/__init__.py` exports all four, and `orbit/__main__.py` makes them a command. No new "
                "dependency.",
                "definition_of_done": list(LINES.values()),
                "tasks": [
                    {
                        "key": "durations",
                        "title": "Write durations",
                        "description": "Add `format_duration(seconds)` next to `parse_duration`: weeks down to "
                        "milliseconds, largest first, parts that are zero left out.",
                        "depends_on": [],
                        "files": ["orbit/durations.py", "tests/test_durations.py"],
                        "size": "small",
                    },
                    {
                        "key": "sizes",
                        "title": "Write sizes",
                        "description": "Add `format_size(size)` next to `parse_size`: binary units, at most one "
                        "decimal. Mind amounts that round up to the next unit.",
                        "depends_on": [],
                        "files": ["orbit/sizes.py", "tests/test_sizes.py"],
                        "size": "small",
                    },
                    {
                        "key": "command",
                        "title": "Write amounts from a shell",
                        "description": "`python3 -m orbit WORD…` writes each amount on a line of its own. "
                        "Export the four functions from the package and say so in the README.",
                        "depends_on": ["durations", "sizes"],
                        "files": ["orbit/__init__.py", "orbit/__main__.py", "tests/test_command.py", "README.md"],
                        "size": "medium",
                    },
                ],
            },
        ),
    ),
)

DURATIONS = (
    turn(
        "I read the parser first: the new function has to be its mirror.",
        view("orbit/durations.py"),
        view("tests/test_durations.py"),
    ),
    turn(
        "Milliseconds as whole numbers keep the division exact.",
        edit("orbit/durations.py", code.DURATIONS_END, code.DURATIONS_END + code.FORMAT_DURATION),
    ),
    turn(
        "Now the tests: units, zero, and the way back through the parser.",
        edit("tests/test_durations.py", code.DURATIONS_IMPORT, code.DURATIONS_IMPORT_BOTH),
        edit("tests/test_durations.py", code.MAIN, code.DURATIONS_TESTS + code.MAIN),
    ),
    turn("", run(TESTS)),
    *handing_in(
        "`format_duration` writes seconds as `1h 30m`: largest unit first, zero parts left out. Ran the whole "
        "test-suite."
    ),
)

DURATIONS_FIX = (
    turn(
        "True: `divmod` rounds down, so a negative amount borrows from the next week. The sign belongs in front of "
        "the whole.",
        edit("orbit/durations.py", code.FORMAT_DURATION, code.FORMAT_DURATION_SIGNED),
        edit("tests/test_durations.py", code.DURATIONS_LAST_TEST, code.DURATIONS_LAST_TEST + code.DURATIONS_SIGN_TEST),
    ),
    turn("", run(TESTS)),
    *handing_in(
        "Negative durations carry one sign in front, as `parse_duration` reads them. Added a test that failed before."
    ),
)

DURATIONS_TRIED = run(
    'python3 -c "from orbit.durations import *; '
    "print([format_duration(s) for s in (0, 0.25, 59, 5400, 93784, 604800)], "
    'all(parse_duration(format_duration(s)) == s for s in range(200000)))"'
)
DURATIONS_TEST = (
    turn("I try it as a caller would, and the way back for every second of two days.", run(TESTS), DURATIONS_TRIED),
    turn(
        "It does what was asked.",
        report(
            {
                "durations": "`format_duration` of 0, 0.25, 59, 5400, 93784 and 604800 printed 0s, 250ms, 59s, 1h 30m, "
                "1d 2h 3m 4s and 1w; parse_duration read back all of range(200000): True.",
                "tests": f"`{TESTS}` ended with OK.",
            },
            "",
        ),
    ),
)

NEGATIVE_TRIED = run(
    'python3 -c "from orbit.durations import *; print(format_duration(-90), parse_duration(format_duration(-90)))"'
)
DURATIONS_REVIEW = (
    turn(
        "`parse_duration` accepts a leading minus. What does the new function make of one?",
        NEGATIVE_TRIED,
    ),
    turn(
        "It is wrong, and quietly so.",
        Call(
            "submit_review",
            {
                "verdict": "request_changes",
                "summary": "Clear and well tested for positive amounts, but negative ones come out wrong, and "
                "the parser reads something else back.",
                "findings": [
                    {
                        "path": "orbit/durations.py",
                        "line": 49,
                        "severity": "major",
                        "comment": "divmod rounds towards minus infinity: format_duration(-90) gives "
                        "'-1w 6d 23h 58m 30s', which parse_duration reads as -1209510.0. Take the sign off first, "
                        "and add a test for a negative amount.",
                    }
                ],
            },
        ),
    ),
)

DURATIONS_REVIEW_AGAIN = (
    turn(
        "The finding of the last round first.",
        NEGATIVE_TRIED,
    ),
    turn(
        "",
        approval(
            "The sign is taken off first and tested; the way back holds for negative amounts too. Nothing else changed."
        ),
    ),
)

SIZES = (
    turn("", view("orbit/sizes.py"), view("tests/test_sizes.py")),
    turn(
        "A loop over the binary units, dividing until the amount is small enough.",
        edit("orbit/sizes.py", code.SIZES_END, code.SIZES_END + code.FORMAT_SIZE),
        run(TESTS),
    ),
    turn(
        "The old tests still pass. Now tests for the new function, the amount that rounds up to the next unit among "
        "them.",
        edit("tests/test_sizes.py", code.SIZES_IMPORT, code.SIZES_IMPORT_BOTH),
        edit("tests/test_sizes.py", code.MAIN, code.SIZES_TESTS + code.MAIN),
    ),
    *handing_in("`format_size` writes bytes in the largest binary unit that fits, with at most one decimal."),
)

SIZES_FIX = (
    turn("The check is right and I had not run my own last test: 1048575 bytes round to `1024 KiB`.", run(TESTS)),
    turn(
        "What counts is the amount as it will be shown.",
        edit("orbit/sizes.py", code.SIZE_FITS, code.SIZE_FITS_ROUNDED),
        run(TESTS),
    ),
    *handing_in(
        "Decide on the unit by the rounded amount: 1048575 is `1 MiB`, not `1024 KiB`. Ran the whole test-suite."
    ),
)

SIZES_TEST = (
    turn(
        "I look at both sides of every border between units.",
        run(TESTS),
        run(
            'python3 -c "from orbit.sizes import *; '
            'print([format_size(s) for s in (0, 1, 1023, 1024, 1536, 1048575, 1048576, 1024**5)])"'
        ),
    ),
    turn(
        "",
        report(
            {
                "sizes": "`format_size` of 0, 1, 1023, 1024, 1536, 1048575, 1048576 and 1024**5 printed 0 B, 1 "
                "B, 1023 B, 1 KiB, 1.5 KiB, 1 MiB, 1 MiB and 1024 TiB.",
                "tests": f"`{TESTS}` ended with OK.",
            },
            "",
        ),
    ),
)

SIZES_REVIEW = (
    turn("", view("orbit/sizes.py"), run(TESTS)),
    turn(
        "",
        approval(
            "Small, exact at the borders, and the test that was red proves the rounding. It reads like the parser "
            "above it."
        ),
    ),
)

COMMAND = (
    turn(
        "Both functions are merged. I look at what is there now.",
        run("git log --oneline -5"),
        view("orbit/__init__.py"),
        view("README.md"),
    ),
    turn(
        "A word is a duration if it reads as one, else a size.",
        edit("orbit/__init__.py", code.PACKAGE, code.PACKAGE + code.EXPORTS),
        create("orbit/__main__.py", code.COMMAND),
    ),
    turn(
        "Tested as it will be used: in a process of its own.",
        create("tests/test_command.py", code.COMMAND_TESTS),
        edit("README.md", code.README_TESTS, code.README_COMMAND + code.README_TESTS),
    ),
    turn("", run(TESTS), run("python3 -m orbit 5400s 1536KiB 2x; echo exit code $?")),
    *handing_in(
        "`python3 -m orbit` writes amounts one a line; what it cannot read goes to standard error with exit code 2."
    ),
)

COMMAND_TEST = (
    turn("", run(TESTS), run("python3 -m orbit 5400s 1536KiB"), run("python3 -m orbit 2x 90s; echo exit code $?")),
    turn(
        "",
        report(
            {
                "durations": "`python3 -m orbit 5400s` printed 1h 30m; the tests of durations pass.",
                "sizes": "`python3 -m orbit 1536KiB` printed 1.5 MiB; the tests of sizes pass.",
                "command": "`python3 -m orbit 5400s 1536KiB` printed 1h 30m and 1.5 MiB on two lines. `python3 "
                "-m orbit 2x 90s` said on standard error that 2x has an unknown unit, still printed 1m 30s, and "
                "ended with exit code 2.",
                "tests": f"`{TESTS}` ended with OK.",
            },
            "",
        ),
    ),
)

COMMAND_REVIEW = (
    turn("", view("orbit/__main__.py"), view("tests/test_command.py")),
    turn(
        "", approval("The command is thin, the functions do the work, and the README says what it says. Fit to keep.")
    ),
)

ORBIT = Play(
    name="orbit",
    # As the requirement itself, not where a later issue is told what was done before.
    matches=rf"(?m)^`{{3,}}\n{re.escape(story.TITLE)}$",
    moves={
        "plan": PLAN,
        "implement:durations": DURATIONS,
        "fix:durations": DURATIONS_FIX,
        "test:durations": DURATIONS_TEST,
        "review:durations:0": DURATIONS_REVIEW,
        "review:durations": DURATIONS_REVIEW_AGAIN,
        "implement:sizes": SIZES,
        "fix:sizes": SIZES_FIX,
        "test:sizes": SIZES_TEST,
        "review:sizes": SIZES_REVIEW,
        "implement:command": COMMAND,
        "test:command": COMMAND_TEST,
        "review:command": COMMAND_REVIEW,
    },
)


def register() -> None:
    """Bring the play to the rehearsal model."""
    plays.register(ORBIT)
