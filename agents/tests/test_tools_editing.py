import time

import pytest

from agents.tools import editing
from agents.tools.editing import EditRefused, diff, replace

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


@pytest.mark.parametrize("text", ["}\n}\n}\nend\n", "}\r\n}\n}\r\nend\n", "  }\n  }\n  }\nend\n", "} \n}\n} \nend\n"])
def test_places_that_overlap_are_several(text):
    assert "found 2 times (lines 1, 2)" in refusal(text, "}\n}\n", "x\n")
    all_of_them = replace(text, "}\n}\n", "x\n", every=True)
    assert all_of_them.count == 1
    assert [line.strip() for line in all_of_them.text.splitlines()] == ["x", "}", "end"]
    assert "found 3 times" in refusal("aaaa", "aa", "b")
    assert replace("aaaaa", "aa", "b", every=True).text == "bba"


@pytest.mark.parametrize("kind", ["{0}", "  {0}", "{0} "])
def test_however_often_a_long_quotation_begins_in_a_text_it_is_looked_for_in_little_time(kind):
    text, old = kind.format("a") + "\n", "a\n" * 100_000

    began = time.process_time()
    assert "times" in refusal(text * 250_000, old, "b\n")
    assert "found 0 times" in refusal(text * 250_000, old + "b", "b\n")
    assert replace(text * 250_000, old, "b\n", every=True).count == 2
    assert time.process_time() - began < 15


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


def test_only_what_is_replaced_gets_other_line_ends():
    mixed = "a\r\nb\nc\r\nd\n"
    assert replace(mixed, "c", "C").text == "a\r\nb\nC\r\nd\n"
    assert replace(mixed, "a\nb\nc\n", "a\nX\nY\nc\n").text == "a\r\nX\nY\nc\r\nd\n"
    assert replace(mixed, "b\nc", "c").text == "a\r\nc\r\nd\n"
    assert replace(mixed, "c", "c\nz").text == "a\r\nb\nc\r\nz\r\nd\n"
    assert replace(mixed, "b  \nc", "b\nz\nc").text == "a\r\nb\nz\nc\r\nd\n"
    assert replace(mixed, "  c\n", "").text == "a\r\nb\nd\n"
    assert replace("x\r\nx\nx", "x", "y\nz", every=True).text == "y\r\nz\r\ny\nz\ny\nz"


def test_blank_lines_around_what_is_new_are_kept_when_white_space_was_forgiven():
    assert replace("a \nb\nc\n", "a\nb\n", "\n\nx\n\n").text == "\n\nx\n\nc\n"
    assert replace("a \nb\nc\n", "\na\nb\n\n", "\n\nx\n\n\n").text == "\nx\n\nc\n"
    assert replace("a \n\n\nc\n", "a\n\n\nc", "a\nc").text == "a\nc\n"
    assert replace("\n\na \nc\n", "\n\na\nc\n", "a\n").text == "a\n"
    assert replace("z\na \n", "a\n\n", "").text == "z\n"


def test_a_refusal_shows_the_nearest_lines():
    message = refusal(TEXT, 'return "Good bye, " + name', "x")
    assert '8\t    return "Bye, " + name' in message
    assert "view` the file first" in refusal(TEXT, "completely different", "x")


def test_senseless_edits_are_refused():
    assert "is empty" in refusal(TEXT, " \n", "x")
    assert "nothing would change" in refusal(TEXT, "name", "name")


def test_an_edit_that_was_perhaps_made_before_is_neither_made_twice_nor_called_done():
    for old, new in (
        ('"Hello"', '"Hello there"'),
        ("    if name:\n", "    if name:\n        pass\n"),
        ("if name:  ", "if name:  \n    pass"),
        ("part", "parting"),
        ("def part", ""),
    ):
        once = replace(TEXT, old, new, every=True, again=True)
        said = refusal(once.text, old, new, every=True, again=True)
        assert "Mission Control was stopped while it carried out this call" in said
    crlf = replace(TEXT.replace("\n", "\r\n"), "if name:\n", "if name:\n        pass\n").text
    assert "stands at line 2" in refusal(crlf, "if name:\n", "if name:\n        pass\n", again=True)


def test_nothing_is_called_done_that_was_not():
    text = "def f():\n    pass\n\ndef g():\n    return 1\n"
    said = refusal(text, "    return 2\n", "    pass\n")
    assert "Did you mean these lines?\n5\t    return 1" in said
    assert said.endswith("The new text stands at line 2 already.")
    assert replace("foo(foo(x))", "foo(x)", "foo(foo(x))").text == "foo(foo(foo(x)))"
    assert replace("a\nb\n", "a\n", "a\nb\n").text == "a\nb\nb\n"


def test_a_diff_counts_all_lines_though_it_is_cut(monkeypatch):
    monkeypatch.setattr(editing, "DIFF_CHARS", 60)
    change = diff("a.txt", "a\nb\n", "a\n" + "c\n" * 50)
    assert (change.added, change.removed) == (50, 1)
    assert change.text.startswith("--- a/a.txt\n+++ b/a.txt\n")
    assert change.text.endswith("… cut")


def test_what_resembles_a_very_long_line_is_found_without_comparing_all_of_it():
    line = "".join(chr(65 + (7 * place + place // 13) % 50) for place in range(200_000))

    began = time.process_time()
    said = refusal(f"a = 1\n{line}\n", line[:150] + "?" + line[151:], "b")

    assert "Did you mean these lines?\n2\t" in said
    assert time.process_time() - began < 2
