import pytest

from agents import guards
from agents.guards import BadCall
from agents.models import Message
from agents.tests import workbench  # noqa: F401 - brings its tools

ALLOWED = ["jot", "submit_jot"]


def test_good_arguments_are_given_to_the_tool():
    order = guards.order_of("jot", '{"text": "hello"}', ALLOWED)
    assert (order.tool.name, order.arguments, order.note) == ("jot", {"text": "hello"}, "")


@pytest.mark.parametrize(
    ("name", "raw", "reason"),
    [
        ("fly", "{}", "There is no tool 'fly'. You have: jot, submit_jot."),
        ("inquire", "{}", "There is no tool 'inquire'"),
        ("jot", '{"text": "hel', "not valid JSON"),
        ("jot", "[1]", "must be a JSON object"),
        ("jot", r'{"text": "a\u0000b"}', "NUL character"),
        ("jot", r'{"text": "a", "more": [{"\ud800": 1}]}', "half a surrogate pair"),
        ("jot", "{}", "'text' is a required property"),
        ("jot", '{"text": 5}', "do not fit in text: 5 is not of type 'string'"),
    ],
)
def test_a_call_that_makes_no_sense_is_explained(name, raw, reason):
    with pytest.raises(BadCall, match=r"(?s).") as problem:
        guards.order_of(name, raw, ALLOWED)
    assert reason in str(problem.value)


def test_a_character_beyond_the_basic_plane_and_an_escape_in_code_are_fine():
    order = guards.order_of("jot", r'{"text": "\ud83d\ude80 x = \"\\u0000\""}', ALLOWED)
    assert order.arguments == {"text": '\N{ROCKET} x = "\\u0000"'}


def test_a_repetition_is_recognised_whatever_the_spelling_and_the_clock():
    first = guards.fingerprint("run", '{"a": 1, "b": 2}', "2 passed in 0.31s")
    assert first == guards.fingerprint("run", '{"b":2,"a":1}', "2 passed in 1.07s")
    assert first != guards.fingerprint("run", '{"b":2,"a":1}', "1 passed in 0.31s")


def results(*rows: tuple[str, str, int]) -> list[Message]:
    return [Message(tool_name=name, detail={"fingerprint": print_, "added": added}) for name, print_, added in rows]


def test_the_same_command_after_an_edit_is_no_repetition():
    rows = results(
        ("run", "x", 0), ("run", "x", 0), ("edit", "e", 2), ("run", "x", 0), ("view", "v", 0), ("run", "x", 0)
    )
    assert guards.times_seen("x", rows) == 2


def test_an_edit_that_changed_nothing_does_not_hide_a_repetition():
    rows = results(("run", "x", 0), ("edit", "e", 0), ("run", "x", 0))
    assert guards.times_seen("x", rows) == 2


def test_only_the_last_results_count():
    rows = results(("run", "x", 0), *[("view", f"v{n}", 0) for n in range(guards.LOOK_BACK)])
    assert guards.times_seen("x", rows) == 0


def test_the_hint_to_wrap_up_comes_with_the_last_two_steps():
    notes = [guards.wrap_up_note(step, 10) for step in range(6, 11)]
    assert [bool(note) for note in notes] == [False, False, True, True, False]


def test_commands_that_run_out_of_time_in_a_row_are_a_circle_too():
    late = [
        Message(role="tool", step=step, tool_name="run", detail={"ending": "timeout", "fingerprint": str(step)})
        for step in range(4)
    ]
    looked = Message(role="tool", step=2, tool_name="view", detail={"fingerprint": "look"})
    done = Message(role="tool", step=4, tool_name="run", detail={"ending": "exited", "fingerprint": "done"})

    assert "3 commands in a row" in guards.nudge("run", {"ending": "timeout"}, "new", [late[0], looked, late[1]])
    assert guards.nudge("run", {"ending": "timeout"}, "new", late[:1]) == ""
    assert guards.circle([*late[:3], looked]) == ""
    assert guards.circle([*late[:2], looked, *late[2:]]) == "4 commands in a row ran out of time"
    assert guards.circle([*late, done]) == ""
