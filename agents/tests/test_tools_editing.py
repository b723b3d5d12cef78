import pytest

from agents.tools import editing
from agents.tools.editing import EditRefused, diff, refuse_new_syntax_error, replace

TEXT = """\
def greet(name):
    if name:
        return "Hello, " + name
    return "Hello"


def part(name):
    return "Bye, " + name
"""


def refusal(text: str, old: str, new: str, **options: bool) -> str:
    with pytest.raises(EditRefused) as refused:
        replace(text, old, new, **options)
    return refused.value.detail


def test_an_exact_quotation_is_replaced():
    change = replace(TEXT, '"Bye, "', '"Farewell, "')
    assert (change.text, change.count, change.loosely) == (TEXT.replace("Bye", "Farewell"), 1, False)


def test_what_is_found_more_than_once_is_refused_with_its_lines_or_replaced_everywhere():
    assert "found 3 times (lines 3, 4, 8)" in refusal(TEXT, "return", "yield")
    assert replace(TEXT, "return", "yield", every=True).count == 3


def test_blanks_at_the_ends_of_lines_are_forgiven():
    old = 'def part(name):   \n    return "Bye, " + name\n\n'
    change = replace(TEXT.replace("def part(name):", "def part(name): \t"), old, "def part(name):\n    return name\n")
    assert change.loosely
    assert change.text.endswith("def part(name):\n    return name\n")


def test_a_wrong_depth_is_forgiven_and_the_new_lines_follow_the_file():
    change = replace(
        TEXT, 'if name:\n    return "Hello, " + name', "if name:\n    name = name.title()\n    return name"
    )
    assert change.text.splitlines()[1:5] == [
        "    if name:",
        "        name = name.title()",
        "        return name",
        '    return "Hello"',
    ]


def test_a_quotation_that_is_too_deep_is_moved_out():
    change = replace("a = 1\nb = 2\n", "    a = 1\n    b = 2", "    a = 1\n    if a:\n        b = 3")
    assert change.text == "a = 1\nif a:\n    b = 3\n"


def test_another_shape_of_indentation_is_another_text():
    assert "found 0 times" in refusal(TEXT, "if name:\nreturn 5", "x")
    assert "found 0 times" in refusal("if a:\n  b\n", "if a:\nb", "if a:\nc")


def test_loose_matches_must_be_unique_too():
    assert "found 2 times (lines 1, 4)" in refusal("  a = 1 \n  b = 2\n\n  a = 1 \n  b = 2\n", "a = 1\nb = 2", "c")


def test_lines_can_be_deleted_and_line_ends_stay():
    assert replace("a\nb\nc\n", "b\n", "").text == "a\nc\n"
    assert replace("a\r\nb\r\nc\r\n", "a\nb", "a\nx\ny").text == "a\r\nx\r\ny\r\nc\r\n"


def test_a_refusal_shows_the_nearest_lines():
    message = refusal(TEXT, 'return "Good bye, " + name', "x")
    assert '8\t    return "Bye, " + name' in message
    assert "view` the file first" in refusal(TEXT, "completely different", "x")


def test_senseless_edits_are_refused():
    assert "is empty" in refusal(TEXT, " \n", "x")
    assert "nothing would change" in refusal(TEXT, "name", "name")


def test_an_edit_that_was_made_before_changes_nothing():
    for old, new in (
        ('"Hello"', '"Hello there"'),
        ("    if name:\n", "    if name:\n        pass\n"),
        ("part", "parting"),
    ):
        once = replace(TEXT, old, new, every=True)
        again = replace(once.text, old, new, every=True)
        assert (again.text, again.count) == (once.text, 0)


def test_only_new_syntax_errors_are_refused():
    with pytest.raises(EditRefused, match="would not parse"):
        refuse_new_syntax_error("a.py", "x = 1\n", "x = (\n")
    refuse_new_syntax_error("a.py", "y = )\n", "x = (\n")
    refuse_new_syntax_error("a.txt", "x = 1\n", "x = (\n")
    with pytest.raises(EditRefused):
        refuse_new_syntax_error("a.json", None, "{")


def test_where_a_grammar_is_not_to_be_trusted_the_model_gets_a_word():
    assert "line 1" in refuse_new_syntax_error("a.c", None, "int main( {\n")
    assert refuse_new_syntax_error("a.c", None, "int main() {}\n") == ""


def test_a_diff_counts_all_lines_though_it_is_cut(monkeypatch):
    monkeypatch.setattr(editing, "DIFF_CHARS", 60)
    change = diff("a.txt", "a\nb\n", "a\n" + "c\n" * 50)
    assert (change.added, change.removed) == (50, 1)
    assert change.text.startswith("--- a/a.txt\n+++ b/a.txt\n")
    assert change.text.endswith("… cut")
