import pytest

from projects.errors import PlanRefused
from projects.plans import parse


def task(key="one", **fields):
    return {
        "key": key,
        "title": key.title(),
        "description": "",
        "depends_on": [],
        "files": [],
        "size": "small",
        **fields,
    }


def plan(*tasks, spec="Do it.", lines=("It works.",)):
    return parse(spec, list(lines), list(tasks))


def test_tasks_come_after_those_they_depend_on_and_else_as_written():
    ordered = plan(task("last", depends_on=["b", "a"]), task("b"), task("a", depends_on=["b"]), task("c"))
    assert [each.key for each in ordered.tasks] == ["b", "c", "a", "last"]


@pytest.mark.parametrize(
    ("tasks", "size"),
    [
        ([task()], "small"),
        ([task(size="medium")], "medium"),
        ([task("a"), task("b")], "medium"),
        ([task(size="large")], "large"),
        ([task(f"t{n}") for n in range(6)], "large"),
    ],
)
def test_the_plan_says_how_big_the_issue_is(tasks, size):
    assert plan(*tasks).size == size


@pytest.mark.parametrize(
    ("tasks", "says"),
    [
        ([], "1 to 12 tasks"),
        ([task(f"t{n}") for n in range(13)], "1 to 12 tasks"),
        ([task("a"), task("a")], "Two tasks are called 'a'"),
        ([task("a", depends_on=["b"])], "not in the plan"),
        ([task("a", depends_on=["b"]), task("b", depends_on=["a"])], "wait for each other: a, b"),
        ([task("a", depends_on=["a"])], "wait for each other: a"),
        ([task("A b")], "small letters"),
        ([task("../x")], "small letters"),
        ([task(title="  ")], "needs a title"),
        ([task(title="x" * 201)], "needs a title"),
        ([task(description="x" * 20_001)], "description"),
        ([task(size="huge")], "size is one of"),
        ([task(files=["/etc/passwd"])], "no path relative"),
        ([task(files=["a/../../b"])], "no path relative"),
        ([task(files=[".git/config"])], "no path relative"),
        ([task(files=[""])], "no path relative"),
        ([task(files=[f"f{n}" for n in range(41)])], "smaller tasks"),
    ],
)
def test_a_plan_that_cannot_be_worked_by_is_refused_with_the_reason(tasks, says):
    with pytest.raises(PlanRefused, match=says):
        plan(*tasks)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"spec": " "}, "`spec` is empty"),
        ({"spec": "x" * 20_001}, "20001 characters"),
        ({"lines": []}, "needs 1 to 20 lines"),
        ({"lines": [" "]}, "needs 1 to 20 lines"),
        ({"lines": ["a", "a "]}, "are the same"),
        ({"lines": ["a\nb"]}, "is one line"),
        ({"lines": ["x" * 501]}, "is one line"),
    ],
)
def test_words_of_a_plan_have_bounds(fields, says):
    with pytest.raises(PlanRefused, match=says):
        plan(task(), **fields)
