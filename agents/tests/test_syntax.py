"""What is refused because it would not parse, and what only once."""

import pytest

from agents.models import Message, Run
from agents.tests.test_tools_sandbox import Desk
from agents.tests.workbench import start
from agents.tools import syntax
from agents.tools.editing import EditRefused
from agents.tools.registry import ToolContext
from agents.tools.syntax import Doubted, Draft

NEW_IN_ITS_LANGUAGE = {
    "a.ts": "export type * from './a';\n",
    "b.ts": "interface A<in out T> {}\n",
    "c.ts": "abstract class A { abstract accessor b: number }\n",
    "a.py": "class A[T = int]: ...\n",
    "a.rs": 'extern "C" { safe fn a(); }\n',
    "a.rb": 'def f = puts "a"\n',
    "A.java": "import module java.base;\nclass A { A() { check(); super(); } }\n",
}


def examined(path: str, before: str | None, after: str, run: Run | None = None) -> str:
    context = ToolContext(run or Run(pk=1), "s0c0", Desk("none"))
    (note,) = syntax.examined(context, [Draft(path, before, after)])
    return note


def test_only_new_syntax_errors_are_refused():
    with pytest.raises(EditRefused, match="would not parse"):
        examined("a.py", "x = 1\n", "x = (\n")
    assert examined("a.py", "y = )\n", "x = (\n") == ""
    assert examined("a.txt", "x = 1\n", "x = (\n") == ""


def test_where_a_grammar_is_not_to_be_trusted_the_model_gets_a_word():
    assert "line 1" in examined("a.c", None, "int main( {\n")
    assert examined("a.c", None, "int main() {}\n") == ""


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("templates/deployment.yaml", "{{- if .Values.on }}\nkind: Deployment\n{{- end }}\n"),
        ("roles/x.yml", "a: 1\n{% for b in c %}\n- {{ b }}\n{% endfor %}\n"),
        ("config/database.yml", "a:\n<%= extra %>\n"),
        ("{{cookiecutter.name}}/package.json", '{"private": {{ cookiecutter.private }}}\n'),
    ],
)
def test_a_template_is_not_refused_for_not_being_what_it_makes(path, text):
    assert "may not parse" in examined(path, None, text)


def test_what_stands_in_values_of_a_workflow_makes_no_template():
    with pytest.raises(EditRefused):
        examined("ci.yml", None, "env:\n  A: ${{ secrets.A }}\n b: [1\n")


def refused(run: Run, step: int, *marks: str) -> None:
    """Journal a refusal as the result of a call of ``step``."""
    Message.objects.create(
        conversation=run.conversation, run=run, step=step, role="tool", tool_call_id=f"s{step}c0", is_error=True,
        detail={syntax.DOUBTED: list(marks)},
    )  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("path", NEW_IN_ITS_LANGUAGE)
def test_what_only_a_grammar_does_not_know_is_refused_until_the_same_text_comes_again(path):
    run, text = start("order"), NEW_IN_ITS_LANGUAGE[path]
    run.step = 1

    with pytest.raises(Doubted, match="make the same call again: then it is written") as doubted:
        examined(path, None, text, run)
    refused(run, 0, *doubted.value.marks)
    with pytest.raises(Doubted):
        # Another call of the same answer, by a model that has not read the refusal yet.
        examined(path, None, text, run)

    run.step = 2
    assert "line 1" in examined(path, None, text, run)
    with pytest.raises(Doubted):
        examined(path, None, text + "\n", run)
    with pytest.raises(Doubted):
        examined(f"other/{path}", None, text, run)


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "text"), [("a.py", "x = (\n"), ("a.json", "{"), ("a.toml", "a ="), ("a.yml", "a: [")])
def test_what_the_own_parser_of_a_language_refuses_is_refused_for_good(path, text):
    run = start("order")
    run.step = 2
    refused(run, 0, Draft(path, None, text).mark)

    for _ in range(2):
        with pytest.raises(EditRefused, match="would not parse") as refusal:
            examined(path, None, text, run)
        assert not isinstance(refusal.value, Doubted)


STRICT, COMMENTED = '{"a": 1}\n', '{"a": 1} // one\n'
OLD, NEW = "a = {b = 1}\n", "a = {\n  b = 1,\n}\n"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "strict", "wide", "named"),
    [("a.json", STRICT, COMMENTED, "JSON with comments"), ("a.toml", OLD, NEW, "TOML 1.1")],
    ids=["JSON", "TOML"],
)
def test_what_not_every_reader_takes_is_refused_once_unless_the_file_has_such_already(path, strict, wide, named):
    run = start("order")
    run.step = 2

    for before in (None, strict):
        with pytest.raises(Doubted, match=f"only as {named}"):
            examined(path, before, wide, run)
    refused(run, 0, Draft(path, None, wide).mark)
    assert "may not parse" in examined(path, None, wide, run)
    assert examined(path, wide, wide.replace("1", "2"), run) == ""
    assert examined(path, wide, strict, run) == ""


@pytest.mark.parametrize(("path", "wide", "line"), [("a.json", COMMENTED, 3), ("a.toml", NEW, 5)])
def test_a_mistake_in_what_not_every_reader_takes_is_refused_at_its_own_place(path, wide, line):
    with pytest.raises(EditRefused, match=f"line {line}") as refusal:
        examined(path, wide, wide + "\n[[\n")
    assert not isinstance(refusal.value, Doubted)
    assert examined(path, "[", "[[") == "", "it was broken before"


@pytest.mark.parametrize("path", ["package.json", "web/package-lock.json", "composer.json"])
def test_files_whose_one_reader_takes_no_comments_have_none(path):
    with pytest.raises(EditRefused, match="would not parse") as refusal:
        examined(path, STRICT, COMMENTED)
    assert not isinstance(refusal.value, Doubted)


@pytest.mark.django_db
def test_all_doubtful_files_of_a_patch_are_refused_together():
    run = start("order")
    drafts = [Draft(path, None, NEW_IN_ITS_LANGUAGE[path]) for path in ("a.ts", "b.ts")]
    context = ToolContext(run, "s0c0", Desk("none"))

    with pytest.raises(Doubted) as doubted:
        syntax.examined(context, [*drafts, Draft("c.ts", None, "let a = 1;\n")])

    assert doubted.value.marks == [draft.mark for draft in drafts]
    assert "a.ts does not seem to parse" in doubted.value.detail and "b.ts does not seem" in doubted.value.detail
