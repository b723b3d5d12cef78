"""The ladder out of circles: what is noticed, from rows alone, and what a real run does about it."""

import pytest

from agents import circles
from agents.circles import Kind
from agents.models import Message, Run, Rung
from agents.tests import workbench
from agents.tests.workbench import TRACES, book, call, finished, hosted, rehearsed, start, until
from agents.tools.registry import ToolContext, ToolResult, tool
from mcc.core.errors import DomainError

_WORDS = {"type": "object", "properties": {"text": {"type": "string"}}}


@tool("fail_at", "Fail, always in the same way.", _WORDS)
def fail_at(context: ToolContext, text: str) -> ToolResult:
    raise DomainError("Traceback at 0x7f00: no module named 'roads' (0.13 s)")


def rows(*calls: tuple[str, str], **detail: object) -> list[Message]:
    """One step for each (tool, what tells its call and result apart)."""
    return [
        Message(step=step, tool_name=name, detail={"fingerprint": f"{name} {mark}", **detail})
        for step, (name, mark) in enumerate(calls)
    ]


def edits(*marks: str) -> list[Message]:
    return rows(*(("edit", mark) for mark in marks), added=1)


def renumbered(*parts: list[Message]) -> list[Message]:
    found = [row for part in parts for row in part]
    for step, row in enumerate(found):
        row.step = step
    return found


def kind_of(results: list[Message], *tools: str) -> tuple[str, int, bool] | None:
    circle = circles.noticed(results, tools or ("edit", "run"))
    return circle and (circle.kind.value, circle.count, circle.is_hopeless)


def test_nothing_is_no_circle():
    assert kind_of([]) is None
    assert kind_of(rows(("run", "a"))) is None


def test_a_repetition_is_recognised_whatever_the_spelling_and_the_clock():
    first = circles.fingerprint("run", '{"a": 1, "b": 2}', "2 passed in 0.31s")
    assert first == circles.fingerprint("run", '{"b":2,"a":1}', "2 passed in 1.07s")
    assert first != circles.fingerprint("run", '{"b":2,"a":1}', "1 passed in 0.31s")
    assert circles.fingerprint("run", "[" * 100_000, "x") == circles.fingerprint("run", "[" * 100_000, "x")


@pytest.mark.parametrize(("times", "found"), [(2, None), (3, False), (4, True), (5, True)])
def test_the_same_call_with_the_same_result(times, found):
    assert kind_of(rows(*[("run", "x")] * times)) == (None if found is None else ("same_call", times, found))


def test_the_same_command_after_an_edit_is_no_repetition():
    x = rows(("run", "x"))
    assert kind_of(renumbered(rows(*[("run", "x")] * 3), edits("e"), x, rows(("view", "v"), ("run", "x")))) is None


def test_an_edit_that_changed_nothing_does_not_hide_a_repetition():
    assert kind_of(rows(("run", "x"), ("run", "x"), ("edit", "e"), ("run", "x"))) == ("same_call", 3, False)


def test_the_same_call_twice_in_one_answer_counts_once():
    twice = rows(("run", "x"), ("run", "x"), ("run", "x"), ("run", "x"))
    for row in twice:
        row.step = 1
    assert kind_of(twice) is None


def test_only_the_last_steps_count():
    between = [("view", f"v{n}") for n in range(circles.LOOK_BACK)]
    assert kind_of(rows(("run", "x"), ("run", "x"), *between, ("run", "x"))) is None


def test_calls_that_made_no_sense_have_a_limit_of_their_own():
    assert kind_of(rows(*[("fly", "x")] * 4, malformed=True)) is None


@pytest.mark.parametrize(
    ("steps", "found"),
    [(3, None), (4, ("alternation", 4, False)), (5, ("same_call", 3, False)), (6, ("alternation", 6, True))],
)
def test_two_steps_in_turn(steps, found):
    assert kind_of(rows(*[("run", "ab"[n % 2]) for n in range(steps)])) == found


def test_edits_that_undo_each_other_are_steps_in_turn():
    assert kind_of(edits("there", "back", "there")) is None
    assert kind_of(edits(*["there", "back"] * 2)) == ("alternation", 4, False)
    assert kind_of(edits(*["there", "back"] * 3)) == ("alternation", 6, True)


def test_three_steps_in_turn():
    turn = [("view", "a"), ("edit", "b"), ("run", "c")]
    results = renumbered(*[rows(turn[0]) + edits("b") + rows(turn[2]) for _ in range(3)])
    assert kind_of(results[:5]) is None
    assert kind_of(results[:6]) == ("alternation", 6, False)
    assert kind_of(results) == ("alternation", 9, True)


def test_tests_that_are_run_after_different_edits_are_work():
    parts = [part for n in range(6) for part in (edits(f"e{n}"), rows(("run", "1 failed"), error="1 failed"))]
    assert kind_of(renumbered(*parts)) is None


def by_commands(*trees: str | None, error: str = "") -> list[Message]:
    """Tests that fail in the same way, each after another command; ``trees``: the files after each, None: no look."""
    steps = []
    for number, tree in enumerate(trees):
        seen = {} if tree is None else {"tree": tree}
        steps += rows(("run", f"sed {number}"), ending="exited")
        steps += rows(("run", f"pytest {number}" if error else "pytest"), ending="exited", error=error, **seen)
    return renumbered(steps)


@pytest.mark.parametrize("error", ["", "1 failed"])
def test_tests_that_are_run_after_files_were_changed_by_commands_are_work(error):
    assert kind_of(by_commands(None, "a", "b", "c", "d", "e", error=error)) is None


def test_commands_between_that_changed_no_file_hide_no_repetition():
    assert kind_of(by_commands(None, "a", "a", "a")) == ("same_call", 3, False)
    assert kind_of(by_commands(None, "a", "b", "b", "b", "b")) == ("same_call", 4, True)
    assert kind_of(by_commands(None, "a", "a", "a", "a", "a", error="1 failed")) == ("same_error", 5, True)
    assert kind_of(by_commands("", "", "")) == ("same_call", 3, False), "they cannot be looked at"


@pytest.mark.parametrize("error", ["", "1 failed"])
def test_what_came_first_is_not_counted_when_commands_after_it_may_have_changed_files(error):
    assert kind_of(by_commands(None, "a", "a", error=error)) is None
    varied = [rows(("run", f"pytest {n}"), ending="exited", error="e", tree=tree) for n, tree in enumerate("aa")]
    first = rows(("run", "sed && pytest"), ending="exited", error="e")
    assert kind_of(renumbered(first, *varied)) is None
    alone = [rows(("run", "pytest"), ending="exited", tree=tree) for tree in "aa"]
    assert kind_of(renumbered(rows(("run", "pytest"), ending="exited"), *alone)) == ("same_call", 3, False)


def test_what_the_repeated_call_changes_itself_hides_no_repetition():
    again = [rows(("run", "pytest --cov"), ending="exited", tree=tree) for tree in "abcd"]
    assert kind_of(renumbered(*again)) == ("same_call", 4, True)
    changed = rows(("run", "sed"), ending="exited")
    assert kind_of(renumbered(*again[:3], changed, again[3])) is None


def test_the_change_may_stand_in_the_same_answer_or_in_the_same_command():
    together = by_commands(None, "a", "b", "c", "d")
    for row in together:
        row.step //= 2
    assert kind_of(together) is None
    one = [
        rows(("run", f"sed {n} && pytest"), ending="exited", error="1 failed", tree=tree)
        for n, tree in enumerate("abcdef")
    ]
    assert kind_of(renumbered(*one)) is None
    edited = renumbered(*[edits(f"e{n}") + rows(("run", "pytest")) for n in range(5)])
    for row in edited:
        row.step //= 2
    assert kind_of(edited) is None


@pytest.mark.parametrize(("times", "found"), [(2, None), (3, False), (4, None), (5, True)])
def test_the_same_error_though_the_calls_differ(times, found):
    results = rows(*[("run", str(n)) for n in range(times)], error="no module named roads")
    assert kind_of(results) == (None if found is None else ("same_error", times, found))


def test_an_error_is_known_by_its_words_and_no_by_an_exit_code_is_none():
    def print_of(text: str, code: int | None = 1, **options: bool) -> str:
        return circles.error_print("run", text, {"exit_code": code}, **{"is_error": False, **options})

    assert print_of("boom at 0x7f31 in 0.1s") == print_of("boom at 0x11aa in 2.5s") != print_of("bang")
    assert print_of("(no output)\n\n[exit code 1]") == ""
    assert print_of("fine", 0) == ""
    assert print_of("killed", None, is_error=True)


def test_commands_that_run_out_of_time_in_a_row():
    late, looked = rows(*[("run", str(n)) for n in range(4)], ending="timeout"), rows(("view", "look"))
    done = rows(("run", "done"), ending="exited")
    assert kind_of(renumbered(late[:2], looked)) is None
    assert kind_of(renumbered(late[:2], looked, late[2:3])) == ("timeouts", 3, False)
    assert kind_of(renumbered(late[:2], looked, late[2:])) == ("timeouts", 4, True)
    assert kind_of(renumbered(late, done)) is None


def test_commands_of_one_answer_that_run_out_of_time_count_once():
    late = rows(*[("run", str(n)) for n in range(8)], ending="timeout")
    for row in late:
        row.step = 0
    assert kind_of(late) is None
    for row, step in zip(late, [0, 0, 0, 0, 1, 1, 2, 2], strict=True):
        row.step = step
    assert kind_of(late) == ("timeouts", 3, False)
    late[-1].detail["ending"] = "exited"
    assert kind_of(late) is None


def reading(steps: int, **trees: str) -> list[Message]:
    """Steps that all read something else; ``trees``: what was seen of the files after step ``s<number>``."""
    results = rows(*[("view", str(n)) for n in range(steps)])
    for name, tree in trees.items():
        results[int(name[1:])].detail["tree"] = tree
    return results


def test_no_progress_is_seen_in_the_files_themselves():
    assert kind_of(reading(25, s12="x", s24="x")) == ("no_progress", 12, False)
    assert kind_of(reading(37, s12="x", s24="x", s36="x")) == ("no_progress", 24, True)
    assert kind_of(reading(37, s12="x", s24="x", s36="y")) is None, "a command changed them"
    assert kind_of(reading(26, s12="x", s24="x")) is None, "it was told a step ago"
    assert kind_of(reading(26, s10="x", s14="x", s25="x")) == ("no_progress", 12, False), "looks come when they come"
    assert kind_of(reading(30, s10="x", s25="x", s29="x")) is None, "it was told four steps ago"
    assert kind_of(reading(37, s10="x", s36="x")) == ("no_progress", 12, False), "it is told first"
    assert kind_of(reading(37, s12="x", s24="x", s36="x"), "create", "run") is None, "who writes nothing need not"
    assert kind_of(renumbered(reading(25, s12="x", s24="x"), edits("e"), reading(13, s12="x"))) is None


def is_due(run: Run, results: list[Message], tool: str, mark: str = "new", error: str = "") -> bool:
    return circles.is_look_due(run, results, tool, {"fingerprint": mark, **({"error": error} if error else {})})


def test_the_files_are_looked_at_each_dozen_steps_without_a_change():
    coder = Run(step=13, tools=["edit", "run", "view"], workplace="desk:1")
    reviewer = Run(step=13, tools=["run", "view"], workplace="desk:1")
    assert is_due(coder, reading(12), "view")
    assert not is_due(coder, reading(12), "ask")
    assert not is_due(reviewer, reading(12), "view")
    assert not is_due(coder, renumbered(reading(5), edits("e"), reading(6)), "view")
    assert not is_due(coder, reading(12, s11="x"), "view")
    coder.step = 12
    assert not is_due(coder, reading(11), "view")


def test_the_files_are_looked_at_as_soon_as_something_repeats_itself_that_commands_may_have_changed():
    tester = Run(step=3, tools=["run", "view"], workplace="desk:1")
    failed = renumbered(rows(("run", "pytest"), ending="exited", error="e"), rows(("run", "sed"), ending="exited"))
    assert is_due(tester, failed, "run", "run pytest")
    assert is_due(tester, failed, "run", "another", error="e")
    assert not is_due(tester, failed, "run", "another", error="f")
    assert is_due(tester, renumbered(rows(("view", "x")), failed[1:]), "view", "view x")
    assert not is_due(tester, rows(("view", "x"), ("view", "y")), "view", "view x"), "nothing can have changed"
    tester.step = 3 + circles.LOOK_BACK
    assert not is_due(tester, failed, "run", "run pytest"), "it is too long ago"
    assert not is_due(Run(step=3, tools=["run"]), failed, "run", "run pytest"), "there are no files"


@pytest.fixture
def quick(settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    TRACES.clear()


LADDERS = {
    Kind.SAME_CALL: ([call("jot", text="same")] * 12, 3, 4),
    Kind.ALTERNATION: ([call("jot", text="ab"[n % 2]) for n in range(18)], 4, 6),
    Kind.SAME_ERROR: ([call("fail_at", text=str(n)) for n in range(15)], 3, 5),
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", LADDERS, ids=str)
def test_a_run_is_told_starts_afresh_is_given_to_another_model_and_ends(quick, kind):
    turns, told, hopeless = LADDERS[kind]
    agent, other = workbench.make_agent(), workbench.make_card()
    agent.fallbacks.add(other)
    with rehearsed(*turns) as order:
        run = start(order, agent, stream="issue:1")
        with hosted():
            until(lambda: finished(run), 30)

    left = book(run)
    rungs = [(rung.noticed, rung.count, rung.done) for rung in run.rungs.order_by("pk") if rung.noticed == kind]
    assert rungs == [
        (kind, told, "told"), (kind, hopeless, "fresh_context"),
        (kind, told, "told"), (kind, hopeless, "other_model"),
        (kind, told, "told"), (kind, hopeless, "ended"),
    ]  # fmt: skip
    assert (left.run.outcome, left.run.outcome_detail) == ("stuck", Rung.words(kind, hopeless))
    assert (left.run.model, left.run.step) == (other, 3 * hopeless)
    first = run.rungs.earliest("pk")
    assert f"[Mission Control: {first.what}." in left.results[told - 1].content
    assert first.heard == left.results[told - 1].pk


def test_the_table_of_kinds_is_whole():
    assert {*circles._TOLD_AT, Kind.ALTERNATION} == set(Kind) == set(circles._ADVICE)
