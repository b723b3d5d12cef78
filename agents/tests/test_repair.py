import time

import pytest

from agents import repair

SCHEMA = {
    "properties": {
        "path": {"type": "string"},
        "start": {"type": "integer"},
        "ratio": {"type": "number"},
        "all": {"type": "boolean"},
        "names": {"type": "array"},
    },
    "required": ["path"],
}


@pytest.mark.parametrize(
    ("raw", "meant", "how"),
    [
        ('{"a": 1}', {"a": 1}, []),
        ("", {}, []),
        ('```json\n{"a": 1}\n```', {"a": 1}, ["a code fence around it"]),
        ('{"a": "one\n\ttwo"}', {"a": "one\n\ttwo"}, ["line breaks not escaped"]),
        ('{"a": [1, 2,], "b": "x,}",}', {"a": [1, 2], "b": "x,}"}, ["a comma too many"]),
        ("{'a': \"it's\", 'b': True, 'c': None}", {"a": "it's", "b": True, "c": None}, ["Python in place of JSON"]),
        ('```\n{"a": "```\n"}```', {"a": "```\n"}, ["a code fence around it", "line breaks not escaped"]),
        ("```\n{'a': 1}\n```", {"a": 1}, ["a code fence around it", "Python in place of JSON"]),
        (r'"{\"a\": 1}"', {"a": 1}, ["an object written as a string"]),
    ],
)
def test_what_is_wrong_only_in_its_spelling_is_read_as_it_is_meant(raw, meant, how):
    assert repair.arguments(raw) == (meant, how)


@pytest.mark.parametrize(
    "raw",
    [
        '{"command": "rm -rf build',  # cut off: nobody knows what was to follow
        '{"a": 1} {"a": 2}',
        "{'a': {1, 2}}",
        "{1: 'a'}",
        "{'a': b'x'}",
        "{'a': open('/etc/passwd')}",
        "run it",
        "```json```",
        '```{"a": 1}```',
        "````",
        "[" * 200_000,
        "{'a': " * 3_000,
        "{" + "-" * 19_000 + "1}",
    ],
)
def test_what_has_no_clear_meaning_is_refused(raw):
    with pytest.raises(ValueError, match=r"."):
        repair.arguments(raw)


def test_megabytes_are_read_or_refused_in_no_time():
    started = time.process_time()
    for raw in (
        '{"a": "' + "x\n" * 1_000_000 + '"}',
        '{"a": "' + '\\"' * 1_000_000,
        "{" + ",}" * 500_000,
        "'" * 2_000_000,
        "```\n" + " " * 500_000 + "x```y",
        "```\n" + " " * 500_000 + "x```",
        "```" + "a" * 500_000 + " " * 500_000 + "x\n```",
    ):
        try:
            repair.arguments(raw)
        except ValueError:
            continue
    assert time.process_time() - started < 5


def test_values_get_the_type_that_the_tool_wants_when_they_say_one():
    found = {"path": "12", "start": "12", "ratio": "0.5", "all": "True", "names": '["a"]'}
    fit, how = repair.fitted(found, SCHEMA)
    assert fit == {"path": "12", "start": 12, "ratio": 0.5, "all": True, "names": ["a"]}
    assert how[0] == "`start`: integer written as a string"
    assert len(how) == 4


def test_null_stands_for_what_is_left_out():
    assert repair.fitted({"path": None, "start": None}, SCHEMA) == ({"path": None}, ["`start`: null left out"])


def test_values_that_say_no_such_thing_stay():
    found = {"start": "twelve", "ratio": "true", "all": "1", "names": "a, b", "other": "5"}
    assert repair.fitted(found, SCHEMA) == (found, [])


@pytest.mark.parametrize("name", ["functions.run", "Run", " run ", "tools.run", "run()", "default_api:run"])
def test_other_spellings_of_a_tool_are_understood(name):
    assert repair.tool_name(name, ["run", "submit_work"]) == "run"


def test_another_tool_is_not_guessed():
    assert repair.tool_name("submit-work", ["run", "submit_work"]) == "submit_work"
    assert repair.tool_name("running", ["run"]) == "running"
    assert repair.tool_name("functions.exec", ["run"]) == "functions.exec"
