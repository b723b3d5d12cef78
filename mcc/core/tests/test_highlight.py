"""Source and diffs of agents, which are often wrong and sometimes hostile."""

import re
import time

import pytest
from pygments.lexers import get_lexer_by_name

from mcc.core import highlight, markdown

PATCH = """--- a/app/tasks.py
+++ b/app/tasks.py
@@ -1,4 +1,5 @@ def deliver(key):
 import os
-x = "<script>"
+x = "<b>"
+y = 2
 def f():
     pass
"""


def text_of(html: str) -> str:
    return re.sub(r"<[^>]+>", "", html)


def test_code_is_escaped_and_coloured_by_class():
    html = highlight.code('x = "<script>"', "python")

    assert "<script>" not in html
    assert 'class="p-' in html
    assert "style=" not in html


def test_code_in_no_known_language_is_plain():
    assert highlight.code("<a>", "no-such-language") == "&lt;a&gt;"


def test_the_language_is_guessed_from_the_path():
    assert "p-k" in highlight.code("def f(): pass", path="a/b.py")


def test_lines_agree_with_the_source():
    source = '\n\n"""one\ntwo"""\n\nx = 1'

    assert text_of(highlight.code(source, "python")).count("\n") == source.count("\n")


def test_a_diff_has_numbered_rows():
    file = highlight.diff(PATCH)[0]

    assert (file.path, file.added, file.removed) == ("app/tasks.py", 2, 1)
    assert [(row.kind, row.old, row.new) for row in file.rows] == [
        ("hunk", None, None),
        ("same", 1, 1),
        ("del", 2, None),
        ("add", None, 2),
        ("add", None, 3),
        ("same", 3, 4),
        ("same", 4, 5),
    ]
    assert [text_of(row.html) for row in file.rows][2:4] == [
        "x = &quot;&lt;script&gt;&quot;",
        "x = &quot;&lt;b&gt;&quot;",
    ]


def test_a_diff_with_wrong_counts_comes_back_as_text():
    wrong = PATCH.replace("-1,4 +1,5", "-1,9 +1,2")

    assert highlight.diff(wrong) == [highlight.FileDiff(path="", plain=wrong)]


def test_what_is_no_diff_comes_back_as_text():
    assert highlight.diff("I changed <b>nothing</b>")[0].plain == "I changed <b>nothing</b>"
    assert highlight.diff("") == []


def test_a_file_without_a_last_newline_is_shown_whole():
    patch = "--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+b\n\\ No newline at end of file\n"

    rows = highlight.diff(patch)[0].rows

    assert [(row.kind, row.html) for row in rows[1:]] == [("del", "a"), ("add", "b")]


def test_a_new_file_and_a_removed_one_are_named():
    patch = "--- /dev/null\n+++ b/new.py\n@@ -0,0 +1 @@\n+x = 1\n--- a/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x = 1\n"

    assert [(file.path, file.added, file.removed) for file in highlight.diff(patch)] == [
        ("new.py", 1, 0),
        ("old.py", 0, 1),
    ]


def test_a_long_diff_is_not_coloured():
    lines = "".join(f"+x{n} = {n}\n" for n in range(highlight.LONGEST_HIGHLIGHTED + 1))
    patch = f"--- /dev/null\n+++ b/long.py\n@@ -0,0 +1,{highlight.LONGEST_HIGHLIGHTED + 1} @@\n{lines}"

    rows = highlight.diff(patch)[0].rows

    assert rows[1].html == "x0 = 0"
    assert len(rows) == highlight.LONGEST_HIGHLIGHTED + 2


def test_a_string_over_several_lines_keeps_its_colour():
    patch = '--- /dev/null\n+++ b/a.py\n@@ -0,0 +1,3 @@\n+"""one\n+two\n+"""\n'

    assert all("p-s" in row.html for row in highlight.diff(patch)[0].rows[1:])


HOSTILE = [" \n", '"\\', "1.", "&", ":", "ab "]


@pytest.mark.parametrize("language", sorted(highlight.LANGUAGES))
def test_no_text_takes_long_in_a_language_that_is_coloured(language):
    assert get_lexer_by_name(language).aliases[0] == language
    for piece in HOSTILE:
        lines = piece * 8_000 if "\n" in piece else f"x = {piece * 1_000}"[: highlight.LONGEST_LINE] + "\n"
        source = (lines * 12)[:10_000]
        began = time.thread_time()
        html = highlight.code(source, language)
        assert time.thread_time() - began < 4 * highlight.BUDGET_S, piece
        assert html.count("\n") == source.rstrip("\n").count("\n") or "\n" in piece


HOSTILE_FENCES = {"perl": "s{" * 12_000, "scala": "\\" * 12_000, "python": " \n" * 400}


@pytest.mark.parametrize("language", HOSTILE_FENCES)
def test_markdown_with_hostile_code_is_drawn_at_once(language):
    began = time.thread_time()
    assert "<code" in markdown.render(f"```{language}\n{HOSTILE_FENCES[language]}")
    assert time.thread_time() - began < 5 * highlight.BUDGET_S


def test_a_line_without_end_and_a_language_that_is_not_known_to_be_quick_stay_plain():
    assert "<span" not in highlight.code("x = 1;" * 30_000, "javascript")
    assert "<span" not in highlight.code("x = 1", path="Makefile")


def test_what_is_left_when_the_time_is_up_is_plain_and_whole(monkeypatch):
    monkeypatch.setattr(highlight, "BUDGET_S", 0.0)
    source = "def f():\n    return 'a'\n\nx = <1>\n"

    assert text_of(highlight.code(source, "python")) == "def f():\n    return &#x27;a&#x27;\n\nx = &lt;1&gt;"
