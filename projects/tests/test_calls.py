"""Tool calls as people read them, well-formed or not."""

import pytest

from agents.models import Artifact, Message
from projects import calls
from projects.tests import factories, talk

pytestmark = pytest.mark.django_db


@pytest.fixture
def run():
    issue = factories.planned()
    return talk.run_on(issue, issue.tasks.get())


def card(answered, **returned):
    return calls.cards(answered, [talk.result(answered, **returned)])[0]


@pytest.mark.parametrize(
    ("returned", "verdict"),
    [
        ({"detail": {"exit_code": 0, "ending": "exited"}}, ("exit 0", "ok")),
        ({"detail": {"exit_code": 1, "ending": "exited"}}, ("exit 1", "bad")),
        ({"detail": {"exit_code": None, "ending": "memory_limit"}, "is_error": True}, ("memory limit", "bad")),
        ({"is_error": True}, ("refused", "bad")),
    ],
)
def test_a_command_says_how_it_ended(run, returned, verdict):
    shown = card(talk.answer(run, "", ("run", {"command": "make\n  test"})), **returned)
    assert (shown.label, shown.line) == ("Run", "make test")
    assert (shown.verdict, shown.tone) == verdict
    assert shown.duration_s == 0.2


def test_a_call_without_a_result_is_running(run):
    answered = talk.answer(run, "", ("view", {"path": "a.py"}), ("view", {"path": "b.py"}))
    first, second = calls.cards(answered, [talk.result(answered)])
    assert (first.is_running, second.is_running) == (False, True)
    assert (second.line, second.output) == ("b.py", "")


def test_an_edit_is_shown_as_a_diff_of_what_it_replaced(run):
    answered = talk.answer(run, "", ("edit", {"path": "a.py", "old": "x = 1\ny = 2", "new": "x = 1\ny = 3"}))
    (file,) = card(answered).files
    assert (file.path, file.added, file.removed) == ("a.py", 1, 1)


def test_a_new_file_is_shown_whole(run):
    (file,) = card(talk.answer(run, "", ("create", {"path": "a.py", "content": "x = 1\ny = 2\n"}))).files
    assert (file.added, file.removed) == (2, 0)


def test_a_search_says_in_how_many_files_it_found_something(run):
    found = card(talk.answer(run, "", ("search", {"pattern": "x"})), detail={"files": 1})
    assert found.verdict == "1 file"


def test_only_what_the_tool_accepted_is_drawn_in_full(run):
    plan = ("submit_plan", {"spec": "S", "definition_of_done": [], "tasks": []})
    assert card(talk.answer(run, "", plan)).drawn == "plan"
    assert card(talk.answer(run, "", plan), is_error=True).drawn == ""
    work = ("submit_work", {"summary": "Done."})
    assert card(talk.answer(run, "", work)).drawn == "", "the first call only shows the checklist"
    assert card(talk.answer(run, "", work), detail={"pull": 7}).drawn == "work"


@pytest.mark.parametrize("arguments", ["", "{", "[1]", '"text"', '{"path": {"deep": []}}'])
def test_arguments_that_make_no_sense_are_shown_without_a_word(run, arguments):
    answered = talk.answer(run, "", ("edit", {}))
    Message.objects.filter(pk=answered.pk).update(tool_calls=[{"id": "c0", "name": "edit", "arguments": arguments}])
    answered.refresh_from_db()
    shown = card(answered, is_error=True, content="The arguments are not valid JSON.")
    assert shown.label == "Edit"
    assert shown.output == "The arguments are not valid JSON."
    assert len(shown.files) <= 1


def test_an_unknown_tool_is_called_by_its_name(run):
    assert card(talk.answer(run, "", ("rm_rf", {})), is_error=True).label == "rm_rf"


def test_long_output_is_cut_in_the_middle_and_can_be_opened(run):
    answered = talk.answer(run, "", ("run", {"command": "yes"}))
    shown = card(answered, content="a" * 5_000 + "b" * 5_000)
    assert shown.cut
    assert shown.output.startswith("aaa")
    assert shown.output.endswith("bbb")
    assert len(shown.output) < 6_100
    artifact = Artifact.objects.create(content="all of it", size_bytes=9)
    assert card(talk.answer(run, "", ("run", {"command": "yes"})), artifact=artifact).cut
