import pytest

from agents import guards
from agents.guards import BadCall
from agents.tests import workbench  # noqa: F401 - brings its tools

ALLOWED = ["jot", "submit_jot"]


def test_good_arguments_are_given_to_the_tool():
    order = guards.order_of("jot", '{"text": "hello"}', ALLOWED)
    assert (order.tool.name, order.arguments, order.repairs) == ("jot", {"text": "hello"}, ())


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


def test_the_hint_to_wrap_up_comes_with_the_last_two_steps():
    notes = [guards.wrap_up_note(step, 10) for step in range(6, 11)]
    assert [bool(note) for note in notes] == [False, False, True, True, False]
