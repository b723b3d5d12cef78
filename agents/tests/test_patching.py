"""The format of patches, on texts alone."""

import time

import pytest

from agents.models import Role
from agents.offer import trained_on_patches
from agents.tools import patching, registry
from agents.tools.editing import EditRefused

TEXT = """\
class One:
    def greet(self):
        return "hello"

    def part(self):
        return "bye"


class Two:
    def greet(self):
        return "hello"
"""


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


def changed(text: str, *lines: str, again: bool = False) -> str:
    (section,) = patching.parse(patch("*** Update File: a.py", *lines))
    return patching.changed("a.py", text, section.hunks, again=again)


def refusal(text: str, *lines: str) -> str:
    with pytest.raises(EditRefused) as refused:
        changed(text, *lines)
    return refused.value.detail


def test_all_kinds_of_sections_are_read():
    sections = patching.parse(
        "apply_patch <<'EOF'\n"
        + patch(
            "*** Add File: new.md",
            "+# New",
            "+",
            "*** Update File: a.py",
            "*** Move to: b.py",
            "@@ class One:",
            " x",
            "-y",
            "+z",
            "",
            "*** Delete File: old.py",
        )
        + "\nEOF"
    )
    assert [(one.path, one.content, one.moved_to) for one in sections] == [
        ("new.md", "# New\n\n", ""), ("a.py", None, "b.py"), ("old.py", None, ""),
    ]  # fmt: skip
    (hunk,) = sections[1].hunks
    assert (hunk.anchors, hunk.old, hunk.new) == (["class One:"], ["x", "y"], ["x", "z"])


def test_an_empty_line_of_a_new_file_needs_no_plus():
    lines = ("*** Add File: a", "+a", "", "  ", "+b", "+", "", "*** Add File: b", "", "+c", "")
    one, other = patching.parse(patch(*lines))
    assert (one.content, other.content) == ("a\n\n\nb\n\n", "\nc\n")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("*** Update File: a\n-x\n+y", "begins with a line"),
        ("*** Begin Patch\n*** Update File: a\n-x\n+y", "ends with a line"),
        (patch(), "is empty"),
        (patch("-x", "+y"), "Line 2 of the patch belongs to nothing"),
        (patch("*** Delete File: a", "-x"), "Line 3 of the patch belongs to nothing"),
        (patch("*** Add File: a", "no plus"), "Line 3 of the patch belongs to nothing"),
        (patch("*** Update File: a", "x"), "begins with none of"),
        (patch("*** Rename File: a"), "is no such line"),
        (patch("*** Move to: a"), "is no such line"),
        (patch("*** Update File: ", "-x"), "names no file"),
        (patch("*** Update File: a", " x"), "changes nothing in a"),
        (patch(*[f"*** Delete File: {n}" for n in range(101)]), "more than 100 files"),
    ],
)
def test_what_is_no_patch_is_refused_with_its_line(text, why):
    with pytest.raises(EditRefused, match=why.replace("(", r"\(")):
        patching.parse(text)


def test_unique_lines_are_replaced():
    assert changed(TEXT, "     def part(self):", '-        return "bye"', '+        return "farewell"') == TEXT.replace(
        "bye", "farewell"
    )


def test_an_anchor_tells_which_of_several_places_is_meant():
    lines = ('-        return "hello"', '+        return "hi"')
    assert "found 2 times (at lines 3, 11)" in refusal(TEXT, *lines)
    first, second = changed(TEXT, "@@ class One:", *lines), changed(TEXT, "@@ class Two:", *lines)
    assert (first.index("hi") < first.index("hello")) and (second.index("hello") < second.index("hi"))
    assert changed(TEXT, "@@ class Two:", "@@     def greet(self):", *lines) == second
    assert "There is no line 'class Three:'" in refusal(TEXT, "@@ class Three:", *lines)


def test_an_anchor_that_names_several_lines_tells_only_what_is_the_same_for_all():
    lines = ('-        return "hello"', '+        return "hi"')
    assert "lines to change are found 2 times (at lines 3, 11)" in refusal(TEXT, "@@     def greet(self):", *lines)
    assert "line that `@@` names is found 2 times (at lines 2, 10)" in refusal(
        TEXT, "@@ def greet(self):", "+        x = 1"
    )
    once = TEXT.replace('"bye"', '"farewell"')
    assert changed(TEXT, "@@ def greet(self):", '-        return "bye"', '+        return "farewell"') == once
    assert changed(TEXT, "@@ class One:", "@@ def greet(self):", *lines) == TEXT.replace("hello", "hi", 1)
    assert "There is no line 'def part(self):' (after line 9)" in refusal(
        TEXT, "@@ class Two:", "@@ def part(self):", *lines
    )


def test_however_many_lines_an_anchor_names_it_is_looked_for_in_little_time():
    text, began = "x\n" * 200_000, time.process_time()
    assert "found 199991 times" in refusal(text, *["@@ x"] * 10, "+y")
    assert "Line 13 of the patch: more than 10 lines `@@`" in refusal(text, *["@@ x"] * 200, "+y")
    assert time.process_time() - began < 5
    assert "more than 1000 places" in refusal(text, *["@@ x", "+y"] * 1001)


def test_places_that_overlap_are_several():
    text = "{\n  {\n    a\n  }\n  }\n  }\n"
    assert "found 2 times (at lines 4, 5)" in refusal(text, "-  }", "-  }", "+  )")
    assert changed(text, "-  }", "-  }", "+  )", "*** End of File") == "{\n  {\n    a\n  }\n  )\n"


def test_later_hunks_are_looked_for_behind_earlier_ones():
    both = changed(
        TEXT, "@@ class One:", '-        return "hello"', '+        return "1"', "@@", '-        return "hello"',
        '+        return "2"',
    )  # fmt: skip
    assert both == TEXT.replace("hello", "1", 1).replace("hello", "2")


def test_white_space_is_forgiven_and_context_stays_as_the_file_has_it():
    text = 'if x:  \n\t\tif y:\n\t\t\treturn "bye"\n'
    loose = changed(text, " \tif y:", '-\t\treturn "bye"', '+\t\treturn "hi"', "+\t\tx = 1")
    assert loose == 'if x:  \n\t\tif y:\n\t\t\treturn "hi"\n\t\t\tx = 1\n'
    trailing = changed("a \nb\nc\n", " a", "-b", "+B", " c  ")
    assert trailing == "a \nB\nc\n"


def test_lines_that_are_nowhere_are_refused_with_those_that_may_be_meant():
    said = refusal(TEXT, '-        return "byes"', "+x")
    assert said.startswith("a.py: The lines to change are found 0 times. Did you mean these lines?")
    assert '6\t        return "bye"' in said
    assert refusal(TEXT, "@@", "-zzz", "+x", "@@", "-yyy", "+x").startswith("a.py, hunk 1 of 2: ")
    assert "all empty" in refusal(TEXT, "-", "+x")


def test_the_end_of_a_file_can_be_meant():
    text = "x = 1\ny = 2\nx = 1\n"
    assert changed(text, "-x = 1", "+x = 3", "*** End of File") == "x = 1\ny = 2\nx = 3\n"
    assert changed(text, "@@", "+z = 4") == text + "z = 4\n"
    assert changed("x = 1", "+z = 4") == "x = 1\nz = 4"
    assert changed(text, "@@ y = 2", "+z = 4") == "x = 1\ny = 2\nz = 4\nx = 1\n"


@pytest.mark.parametrize(
    "lines",
    [
        ["     def part(self):", '-        return "bye"', '+        return "farewell"'],
        ["@@ class Two:", "     def greet(self):", '+        """Greet."""', '         return "hello"'],
        ['         return "bye"', "+        # the end"],
        ["@@", "+x = 1"],
        ["@@ class Two:", "+    x = 1"],
        ['-        return "bye"'],
    ],
)
def test_a_patch_that_was_perhaps_applied_before_is_not_applied_twice(lines):
    for text in (TEXT, TEXT.replace("\n", "\r\n")):
        once = changed(text, *lines, again=True)
        assert once != text
        if lines[-1].startswith("+") or any(line.startswith("+") for line in lines):
            assert changed(once, *lines, again=True) == once


def test_nothing_is_taken_for_applied_that_was_not():
    text = "def f():\n    pass\n\ndef g():\n    return 1\n"
    said = refusal(text, "-    return 2", "+    pass")
    assert "5\t    return 1" in said and said.endswith("The new text stands at line 2 already.")
    assert changed("a\nb\n", " a", "+b") == "a\nb\nb\n"
    assert changed("a\n", "+a") == "a\na\n"


def test_empty_lines_before_the_next_section_are_no_context_unless_there_is_no_other():
    text = "a\nb\n"
    assert changed(text, " a", "-b", "+c", "", "") == changed(text, " a", "-b", "+c", "*** End of File", "") == "a\nc\n"
    assert changed("a\n\nb\n", " a", "", "-b", "+c", "") == "a\n\nc\n"
    assert changed(text, "+c", "*** End of File", "") == changed(text, "+c", "", "*** End of File") == "a\nb\nc\n"
    for blanks in ([""], ["", ""], [" "], [" ", " "]):
        assert "all empty" in refusal("\n\nimport os\nend\n", "@@", "+# header", *blanks)
        assert "all empty" in refusal("def f():\n\n    x = 1\n", "@@ def f():", "+    # first", *blanks)
    assert changed(text, " a", "-b", "+c", " ", "*** End of File") == "a\nc\n"
    assert "0 times" in refusal(text, " a", "+x", " ", " b")


def test_line_ends_stay_what_they_were():
    assert changed("a\r\nb\r\n", " a", "-b", "+c") == "a\r\nc\r\n"
    mixed = "a\r\nb\nc\r\nd\n"
    assert changed(mixed, "-c", "+C", "+D") == "a\r\nb\nC\r\nD\r\nd\n"
    assert changed(mixed, " a", "+x", " b", "-c", " d") == "a\r\nx\r\nb\nd\n"
    assert changed("a\r\nb", "@@", "+c") == "a\r\nb\r\nc"
    assert changed("a\r\nb\r\n", "+c") == "a\r\nb\r\nc\r\n"


def test_a_model_gets_the_tool_that_it_was_trained_on():
    def names(**options: bool) -> set[str]:
        return {tool.name for tool in registry.for_role(Role.CODER, **options)}

    assert "edit" in names() and "apply_patch" not in names()
    assert names(patches=True) == names() - {"edit"} | {"apply_patch"}
    assert "apply_patch" not in {tool.name for tool in registry.for_role(Role.REVIEWER, patches=True)}
    assert [tool.name for tool in registry.for_role(Role.CODER, ["edit", "run"], patches=True)] == [
        "apply_patch",
        "run",
    ]


@pytest.mark.parametrize(
    ("name", "patches"),
    [
        ("openai/gpt-5", True), ("openai/gpt-5.1-codex-mini", True), ("gpt-4.1", True), ("openai/o3", True),
        ("openai/gpt-4o", False), ("anthropic/claude-sonnet-4.5", False), ("meta/co3po", False),
    ],
)  # fmt: skip
def test_names_tell_who_was_trained_on_patches(name, patches):
    assert trained_on_patches(name) is patches
