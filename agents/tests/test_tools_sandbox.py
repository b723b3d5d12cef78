"""The tools with a real sandbox."""

import secrets
import threading
import time
from collections.abc import Iterator

import pytest

from agents.errors import Interrupted
from agents.models import Run
from agents.record import record
from agents.rehearsal.plays import Turn
from agents.runner import hands
from agents.runner.places import Nowhere
from agents.sandbox import choice, places
from agents.sandbox.errors import SandboxPathError
from agents.sandbox.types import Sandbox, SandboxSpec
from agents.services import runs
from agents.tests import workbench
from agents.tests.workbench import QUICK, book, call, finished, hosted, rehearsed, start, status, until
from agents.tools import registry
from agents.tools.editing import EditRefused
from agents.tools.files import NotWritable
from agents.tools.registry import ToolContext, ToolResult
from agents.tools.shell import head_and_tail, plain
from agents.workplaces import register
from budgets.services import accounts
from mcc.core.errors import DomainError
from projects import calls
from tests.timing import best_s

pytestmark = pytest.mark.sandbox

GIT = "git init -q . && git add -A && git -c user.name=a -c user.email=a@b commit -qm one"


class Desk:
    """A workplace on a workspace of its own. Testers may write only tests."""

    def __init__(self, name: str, only: str = "") -> None:
        self.name, self.only = name, only
        self._sandbox: Sandbox | None = None

    def map(self) -> str:
        return ""

    def pinned(self) -> str:
        return ""

    def sandbox(self) -> Sandbox:
        if self._sandbox is None:
            spec = SandboxSpec(self.name, places.make_workspace(self.name))
            self._sandbox = choice().create(spec)
        return self._sandbox

    def may_write(self, path: str) -> bool:
        return path.startswith(self.only)

    def break_off(self) -> None:
        """It opens in no time."""

    def close(self) -> None:
        if self._sandbox is not None:
            self._sandbox.close()
            self._sandbox = None


register("desk", lambda run: Desk(run.workplace.partition(":")[2]))


@pytest.fixture
def desk() -> Iterator[Desk]:
    found = choice().probe()
    if not found.available:
        pytest.skip(f"{found.why} {found.hint}")
    desk = Desk(f"test-{secrets.token_hex(4)}")
    desk.sandbox().write_file("src/app.py", b"def greet():\n    return 'hello'\n")
    yield desk
    desk.close()
    places.delete_workspace(desk.name)


def use(
    desk: Desk, name: str, cancel: threading.Event | None = None, *, again: bool = False, **arguments: object
) -> ToolResult:
    context = ToolContext(Run(pk=1), "s0c0", desk, cancel or threading.Event(), again=again)
    return registry.get(name).function(context, **arguments)


def content(desk: Desk, path: str) -> str:
    return desk.sandbox().read_file(path).data.decode()


def test_a_command_answers_with_its_output_and_exit_code(desk):
    result = use(desk, "run", command="cat src/app.py; echo oops >&2; exit 3")
    assert result.text == "def greet():\n    return 'hello'\noops\n\n[exit code 3]"
    assert (result.detail["exit_code"], result.detail["ending"], result.is_error) == (3, "exited", False)
    assert result.full_output is None
    assert use(desk, "run", command="true").text == "(no output)\n\n[exit code 0]"


def test_of_a_long_output_head_and_tail_are_shown_and_all_of_it_is_kept(desk):
    result = use(desk, "run", command="echo first; seq 1 9000; echo last")
    assert len(result.text) < 10_300
    assert result.text.startswith("first\n1\n2\n")
    assert "characters left out" in result.text
    assert result.text.endswith("9000\nlast\n\n[exit code 0]")
    assert "\n4500\n" in result.full_output
    assert result.output_bytes == len(result.full_output) + 1


def test_a_command_that_takes_too_long_is_killed_and_says_so(desk):
    result = use(desk, "run", command="echo begun; sleep 30", timeout_s=1)
    assert result.text.startswith("begun\n\n[killed: it ran longer than 1 s.")
    assert (result.detail["exit_code"], result.is_error) == (None, True)


def test_a_stopped_command_has_no_result(desk):
    cancel = threading.Event()
    threading.Timer(0.3, cancel.set).start()
    began = time.monotonic()
    with pytest.raises(Interrupted):
        use(desk, "run", cancel=cancel, command="sleep 30")
    assert time.monotonic() - began < 10


def test_control_sequences_do_not_reach_the_model():
    assert plain("\x1b[31mred\x1b[0m\r\n10%\r50%\r100%\x07 \x1b]0;title\x07\0done  \n") == "red\n100% done"
    assert plain("Building 100%\rerror\r\r\nnext\r") == "error\nnext"
    assert head_and_tail("x" * 10_000) == "x" * 10_000


def test_a_file_is_shown_with_numbers_and_in_parts(desk):
    desk.sandbox().write_file("long.txt", "\n".join(f"line {n}" for n in range(1, 1001)).encode())
    assert use(desk, "view", path="src/app.py").text == "     1\tdef greet():\n     2\t    return 'hello'"
    whole = use(desk, "view", path="/workspace/long.txt").text.splitlines()
    assert (len(whole), whole[-1]) == (401, "[lines 1 to 400 of 1000 lines; pass start and end to see others]")
    part = use(desk, "view", path="./long.txt", start=10, end=12).text.splitlines()
    assert part[:3] == ["    10\tline 10", "    11\tline 11", "    12\tline 12"]
    assert use(desk, "view", path="long.txt", start=5000).text == "long.txt has only 1000 lines."
    assert use(desk, "view", path="long.txt", start=9, end=8).text == "No lines: end (8) is before start (9)."
    assert use(desk, "view", path="long.txt", start=1000).text == "  1000\tline 1000"


def test_a_range_is_shown_wherever_it_is_in_a_large_file(desk):
    made = desk.sandbox().sh(
        "seq -f 'line %.0f of a log that grew very long' 1000000 > log.txt; printf last >> log.txt;"
        "{ head -c 3M /dev/zero | tr '\\0' x; echo; printf 'two\\fpages\\r\\n'; } > min.js"
    )
    assert made.ok

    text = use(desk, "view", path="log.txt", start=999_999).text

    assert text.splitlines() == [
        "999999\tline 999999 of a log that grew very long",
        "1000000\tline 1000000 of a log that grew very long",
        "1000001\tlast",
    ]
    middle = use(desk, "view", path="log.txt", start=500_000, end=500_001).text.splitlines()
    assert middle[1:] == [
        "500001\tline 500001 of a log that grew very long",
        "[lines 500000 to 500001 of 1000001 lines; pass start and end to see others]",
    ]
    endless = use(desk, "view", path="min.js").text
    assert len(endless) < 1000 and "more than 1048576 characters" in endless
    assert use(desk, "view", path="min.js", start=2).text == "     2\ttwo\fpages"


def test_directories_binary_files_and_nothing_are_shown_for_what_they_are(desk):
    desk.sandbox().write_file("data.bin", b"\0\1\2")
    desk.sandbox().write_file("empty.txt", b"")
    assert use(desk, "view", path=".").text == (". is a directory:\ndata.bin\nempty.txt\nsrc/\nsrc/app.py")
    assert use(desk, "view", path="data.bin").text == "data.bin is a binary file of 3 bytes."
    assert use(desk, "view", path="empty.txt").text == "empty.txt is empty."
    with pytest.raises(SandboxPathError):
        use(desk, "view", path="missing.txt")
    with pytest.raises(SandboxPathError):
        use(desk, "view", path="../../etc/passwd")


def test_a_search_names_the_files_first(desk):
    desk.sandbox().write_file("tests/test_app.py", b"greet()\ngreet()\n")
    lines = use(desk, "search", pattern="greet").text.splitlines()
    assert (lines[0], set(lines[1:3])) == ("2 files, 3 lines:", {"  src/app.py (1)", "  tests/test_app.py (2)"})
    assert sorted(lines[4:]) == [
        "src/app.py:1: def greet():",
        "tests/test_app.py:1: greet()",
        "tests/test_app.py:2: greet()",
    ]
    assert "1 file, 1 line:" in use(desk, "search", pattern="greet", path="src", glob="*.py").text


def test_a_search_that_finds_nothing_says_what_was_looked_for_where(desk):
    nothing = use(desk, "search", pattern="nothing like it")
    assert nothing.text.startswith("Nothing matches 'nothing like it' in the whole repository. The search minds upper")
    narrow = use(desk, "search", pattern="greet(name)", path="./src", glob="*.js").text
    assert narrow.startswith("Nothing matches 'greet(name)' in src, in files named *.js.")
    assert "a backslash takes ( [ { + ? . * | as they are" in narrow
    assert narrow.endswith("Leave out path and glob to search everything else.")


def test_a_search_in_very_many_files_lists_the_first_and_counts_the_rest(desk):
    assert desk.sandbox().sh("mkdir many && for n in $(seq 130); do echo needle > many/$n.txt; done").ok
    text = use(desk, "search", pattern="needle").text
    assert text.startswith("130 files, 130 lines:")
    assert "… and 30 more files" in text


def test_who_misses_a_file_is_told_which_may_be_meant(desk):
    for name, arguments in (("view", {}), ("edit", {"old": "a", "new": "b"})):
        with pytest.raises(SandboxPathError, match=r"^app\.py does not exist\. Did you mean src/app\.py\?$"):
            use(desk, name, path="app.py", **arguments)
    with pytest.raises(SandboxPathError, match="`view` a directory"):
        use(desk, "view", path="zzzzz.qqq")


def patch(*lines: str) -> str:
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])


MIXED = patch(
    "*** Update File: src/app.py", "*** Move to: src/main.py", "@@ def greet():", "-    return 'hello'",
    "+    return 'good day'", "*** Add File: docs/new.md", "+# New", "+", "+Text", "*** Delete File: old.txt",
)  # fmt: skip


def test_a_patch_changes_adds_moves_and_deletes_and_may_be_repeated(desk):
    desk.sandbox().write_file("old.txt", b"gone\n")

    result = use(desk, "apply_patch", patch=MIXED)

    assert result.text.splitlines() == [
        "Added src/main.py.",
        "Deleted src/app.py.",
        "Added docs/new.md.",
        "Deleted old.txt.",
    ]
    assert content(desk, "src/main.py") == "def greet():\n    return 'good day'\n"
    assert content(desk, "docs/new.md") == "# New\n\nText\n"
    assert desk.sandbox().sh("find . -type f | sort").text.split() == ["./docs/new.md", "./src/main.py"]
    assert (result.detail["path"], result.detail["added"], result.detail["removed"]) == ("4 files", 5, 3)
    assert "+    return 'good day'" in result.detail["diff"]
    repeated = use(desk, "apply_patch", patch=MIXED, again=True)
    assert "has carried it out again" in repeated.text and repeated.detail == {"added": 0, "removed": 0}
    with pytest.raises(EditRefused, match=r"src/app\.py does not exist"):
        use(desk, "apply_patch", patch=MIXED)


@pytest.mark.parametrize(
    ("section", "why"),
    [
        (["*** Update File: src/app.py", "-    return 'hello'", "+    return 'hello"], "would not parse"),
        (["*** Update File: src/app.py", "-    return 'bye'", "+    return 1"], "Did you mean these lines"),
        (["*** Update File: app.py", "-a", "+b"], "Did you mean src/app.py"),
        (["*** Add File: src/app.py", "+x = 1"], "exists already"),
        (["*** Update File: ../../etc/passwd", "-root", "+toor"], "outside"),
        (["*** Add File: /etc/cron.d/x", "+* * * * *"], "outside"),
        (["*** Add File: link/x", "+x"], "outside"),
        (["*** Delete File: src"], "not a regular file"),
        (["*** Update File: latin.txt", "-x", "+y"], "not UTF-8"),
        (["*** Update File: first.txt", "*** Move to: src/app.py", "-changed", "+two"], "nothing is moved over it"),
    ],
)
def test_of_a_patch_with_one_bad_section_nothing_is_written(desk, section, why):
    desk.sandbox().write_file("first.txt", b"one\n")
    desk.sandbox().write_file("latin.txt", "caf\xe9".encode("latin-1"))
    assert desk.sandbox().sh("ln -s /tmp link").ok
    good = ["*** Update File: first.txt", "-one", "+changed", "*** Add File: new.txt", "+new"]

    with pytest.raises(DomainError, match=why):
        use(desk, "apply_patch", patch=patch(*good, *section))

    assert content(desk, "first.txt") == "one\n"
    assert content(desk, "src/app.py") == "def greet():\n    return 'hello'\n"
    assert not desk.sandbox().sh("test -e new.txt").ok


def test_a_patch_whose_last_write_fails_is_taken_back(desk):
    assert desk.sandbox().sh("mkdir shut && echo one > shut/a.txt && chmod 555 shut").ok
    sections = [
        "*** Update File: src/app.py",
        "-    return 'hello'",
        "+    return 'bye'",
        "*** Add File: new/b.txt",
        "+b",
    ]

    with pytest.raises(SandboxPathError):
        use(desk, "apply_patch", patch=patch(*sections, "*** Update File: shut/a.txt", "-one", "+two"))

    assert content(desk, "src/app.py") == "def greet():\n    return 'hello'\n"
    assert not desk.sandbox().sh("test -e new/b.txt").ok


def test_a_file_keeps_its_mode_when_a_patch_moves_it_or_is_taken_back(desk):
    sandbox = desk.sandbox()
    assert sandbox.sh("printf '#!/bin/sh\\necho a\\n' > run.sh; chmod 750 run.sh; cp -p run.sh gone.sh").ok
    move = ("*** Update File: run.sh", "*** Move to: tools/run.sh", "-echo a", "+echo b", "*** Delete File: gone.sh")

    assert sandbox.sh("mkdir shut && echo one > shut/a.txt && chmod 555 shut").ok
    with pytest.raises(SandboxPathError):
        use(desk, "apply_patch", patch=patch(*move, "*** Update File: shut/a.txt", "-one", "+two"))
    assert sandbox.sh("stat -c '%a %n' *.sh; ls tools; ./gone.sh").text.split() == [
        *("750", "gone.sh", "750", "run.sh", "a"),
    ]

    use(desk, "apply_patch", patch=patch(*move))
    assert sandbox.sh("stat -c '%a %n' tools/*; tools/run.sh").text.split() == ["750", "tools/run.sh", "b"]
    further = ("*** Update File: tools/run.sh", "*** Move to: one.sh", "*** Update File: one.sh", "*** Move to: two.sh")
    use(desk, "apply_patch", patch=patch(*further, "*** Add File: new.sh", "+echo"))
    assert sandbox.sh("stat -c '%a %n' *.sh").text.split() == ["644", "new.sh", "750", "two.sh"]


def test_a_patch_neither_moves_nor_deletes_a_link_but_changes_what_it_leads_to(desk):
    sandbox = desk.sandbox()
    assert sandbox.sh("ln -s src/app.py link.py").ok

    for section in (["*** Update File: link.py", "*** Move to: b.py"], ["*** Delete File: link.py"]):
        with pytest.raises(EditRefused, match=r"^link\.py is a symbolic link, which a patch neither moves nor deletes"):
            use(desk, "apply_patch", patch=patch("*** Add File: new.txt", "+new", *section))
    assert sandbox.sh("ls; readlink link.py").text.split() == ["link.py", "src", "src/app.py"]

    use(desk, "apply_patch", patch=patch("*** Update File: link.py", "-    return 'hello'", "+    return 'bye'"))
    assert sandbox.sh("readlink link.py").text == "src/app.py\n"
    assert content(desk, "src/app.py") == "def greet():\n    return 'bye'\n"


def test_a_patch_loses_no_change_of_a_file_that_goes_by_two_names(desk):
    sandbox = desk.sandbox()
    assert sandbox.sh("printf 'one\\n\\ntwo\\n' > AGENTS.md; ln -s AGENTS.md CLAUDE.md; ln -s src lib").ok
    first, other = ("*** Update File: AGENTS.md", "-one", "+ONE"), ("*** Update File: CLAUDE.md", "-two", "+TWO")
    new = ("*** Add File: src/new.py", "+x = 1")

    for sections, names in (
        ((*first, *other), "AGENTS.md and CLAUDE.md"),
        ((*other, *new, *first), "CLAUDE.md and AGENTS.md"),
        ((*first, *new, "*** Add File: lib/new.py", "+y = 2"), "src/new.py and lib/new.py"),
        (("*** Update File: src/app.py", "*** Move to: lib/app.py"), "src/app.py and lib/app.py"),
    ):
        with pytest.raises(EditRefused, match=rf"^{names} are one file, by a symbolic link"):
            use(desk, "apply_patch", patch=patch(*sections))
    assert (content(desk, "AGENTS.md"), sandbox.sh("ls src").text) == ("one\n\ntwo\n", "app.py\n")

    by_both = patch(*other, "*** Update File: ./CLAUDE.md", "-one", "+ONE", "*** Add File: lib/b c.py", "+x = 1")
    use(desk, "apply_patch", patch=by_both)
    assert (content(desk, "AGENTS.md"), content(desk, "src/b c.py")) == ("ONE\n\nTWO\n", "x = 1\n")


def test_a_file_that_only_moves_is_not_refused_for_what_its_grammar_does_not_know(desk):
    desk.sandbox().write_file("a.ts", b"export type * from './a';\n")
    use(desk, "apply_patch", patch=patch("*** Update File: a.ts", "*** Move to: lib/a.ts"))
    assert content(desk, "lib/a.ts") == "export type * from './a';\n"


def test_a_patch_is_written_only_where_the_workplace_allows(desk):
    desk.only = "tests/"
    for section in (["*** Add File: x.py", "+x = 1"], ["*** Delete File: src/app.py"]):
        with pytest.raises(NotWritable):
            use(desk, "apply_patch", patch=patch("*** Add File: tests/test_x.py", "+x = 1", *section))
    with pytest.raises(NotWritable):
        use(desk, "apply_patch", patch=patch("*** Update File: src/app.py", "*** Move to: tests/app.py", "-x", "+y"))
    assert not desk.sandbox().sh("test -e tests").ok


def test_an_edit_changes_the_file_and_shows_what(desk):
    result = use(desk, "edit", path="./src/app.py", old="'hello'", new="'good day'")
    assert content(desk, "src/app.py") == "def greet():\n    return 'good day'\n"
    assert result.text == "Edited src/app.py."
    assert (result.detail["path"], result.detail["added"], result.detail["removed"]) == ("src/app.py", 1, 1)
    assert "+    return 'good day'" in result.detail["diff"]


def test_an_edit_can_change_all_places_and_a_broken_off_one_is_not_made_twice(desk):
    desk.sandbox().write_file("a.txt", b"x x\nx\n")
    assert use(desk, "edit", path="a.txt", old="x", new="xy", all=True).text == "Edited a.txt in 3 places."
    with pytest.raises(EditRefused, match=r"cannot tell whether this was done before\. The new text stands at line 1"):
        use(desk, "edit", path="a.txt", old="x", new="xy", all=True, again=True)
    assert content(desk, "a.txt") == "xy xy\nxy\n"
    assert use(desk, "edit", path="a.txt", old="x", new="xy", all=True).text == "Edited a.txt in 3 places."


@pytest.mark.django_db(transaction=True)
def test_an_edit_whose_result_was_never_written_down_is_not_made_a_second_time(desk, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    desk.sandbox().write_file("a.txt", b"foo(x)\n")
    turns = [call("edit", path="a.txt", old="foo(x)", new="foo(foo(x))")] * 2 + [call("submit_jot")]
    with rehearsed(*turns) as order:
        run = start(order, workplace=f"desk:{desk.name}")
        with hosted():
            until(lambda: finished(run), 30)
    made, wrapped, _ = book(run).results
    assert (made.content, wrapped.content) == ("Edited a.txt.", "Edited a.txt.")
    assert content(desk, "a.txt") == "foo(foo(foo(x)))\n"

    # As if the process had been killed between the second edit and its result.
    run.messages.filter(pk__gte=wrapped.pk).delete()
    Run.objects.filter(pk=run.pk).update(status="queued", outcome="", finished_at=None, step=2)
    with rehearsed(*turns, order=order), hosted():
        until(lambda: finished(run), 30)
    wrapped, _ = book(run).results[1:]
    assert wrapped.is_error and "cannot tell whether this was done before" in wrapped.content
    assert content(desk, "a.txt") == "foo(foo(foo(x)))\n"


def test_an_edit_that_breaks_the_syntax_is_not_written(desk):
    with pytest.raises(EditRefused, match=r"would not parse \(line"):
        use(desk, "edit", path="src/app.py", old="'hello'", new="'hello")
    assert content(desk, "src/app.py") == "def greet():\n    return 'hello'\n"


@pytest.mark.django_db(transaction=True)
def test_a_text_that_may_be_too_new_for_its_grammar_is_written_when_it_comes_again(desk, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    text = "export type * from './shapes';\n"
    turns = [call("create", path="index.ts", content=text)] * 2 + [call("submit_jot")]
    with rehearsed(*turns) as order:
        run = start(order, workplace=f"desk:{desk.name}")
        with hosted():
            until(lambda: finished(run), 30)
    refused, written, _ = book(run).results
    assert refused.is_error and refused.content.startswith("Not written: index.ts does not seem to parse as TypeScript")
    assert written.content.startswith("Created index.ts (1 lines).\nThis may not parse as TypeScript (line 1: ")
    assert content(desk, "index.ts") == text

    # As if the process had been killed behind the refusal: another one goes on from what is written down.
    desk.sandbox().remove_file("index.ts")
    run.messages.filter(pk__gt=refused.pk).delete()
    Run.objects.filter(pk=run.pk).update(status="queued", outcome="", finished_at=None, step=1)
    with rehearsed(*turns, order=order), hosted():
        until(lambda: finished(run), 30)
    assert content(desk, "index.ts") == text


@pytest.mark.django_db(transaction=True)
def test_a_patch_that_may_be_too_new_for_a_grammar_is_applied_when_it_comes_again(desk, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    new = patch(
        "*** Add File: a.ts",
        "+export type * from './a';",
        "*** Update File: src/app.py",
        "-    return 'hello'",
        "+    return 'bye'",
    )
    card = workbench.make_card()
    card.patches = True
    card.save()
    with rehearsed(*[call("apply_patch", patch=new)] * 2, call("submit_jot")) as order:
        run = start(order, workbench.make_agent(card=card), workplace=f"desk:{desk.name}")
        with hosted():
            until(lambda: finished(run), 30)
    refused, applied, _ = book(run).results
    assert refused.is_error and "a.ts does not seem to parse" in refused.content
    assert applied.content.splitlines()[::2] == ["Added a.ts.", "Edited src/app.py."]
    assert content(desk, "src/app.py") == "def greet():\n    return 'bye'\n"


def test_a_file_is_created_once(desk):
    result = use(desk, "create", path="new/deep.txt", content="one\ntwo\n")
    assert (result.text, result.detail["added"]) == ("Created new/deep.txt (2 lines).", 2)
    assert "already has this content" in use(desk, "create", path="new/deep.txt", content="one\ntwo\n").text
    with pytest.raises(SandboxPathError):
        use(desk, "create", path="new/deep.txt", content="other")
    assert use(desk, "create", path="new/deep.txt", content="other", overwrite=True).text.startswith("Replaced")
    assert content(desk, "new/deep.txt") == "other"
    with pytest.raises(EditRefused):
        use(desk, "create", path="broken.json", content="{")


def test_what_the_workplace_forbids_is_not_written(desk):
    desk.only = "tests/"
    for path in ("src/app.py", "tests/../src/app.py", "/workspace/src/app.py"):
        with pytest.raises(NotWritable):
            use(desk, "create", path=path, content="x = 1\n", overwrite=True)
        with pytest.raises(NotWritable):
            use(desk, "edit", path=path, old="hello", new="bye")
    assert use(desk, "create", path="tests/test_x.py", content="x = 1\n").text.startswith("Created")


def test_files_that_are_no_text_are_not_edited(desk):
    desk.sandbox().write_file("latin.txt", "caf\xe9".encode("latin-1"))
    with pytest.raises(NotWritable, match="not UTF-8"):
        use(desk, "edit", path="latin.txt", old="caf", new="tea")


@pytest.mark.django_db(transaction=True)
def test_a_run_works_in_its_sandbox_and_a_stopped_command_is_run_again(desk, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    script = "echo x >> count.txt; [ $(wc -l < count.txt) -gt 1 ] || sleep 30; cat count.txt; seq 9999"
    with rehearsed(call("run", command=script), call("view", path="count.txt"), call("submit_jot")) as order:
        run = start(order, workplace=f"desk:{desk.name}")
        with hosted(QUICK):
            until(lambda: (places.workspace_path(desk.name) / "count.txt").exists())
            accounts.freeze(accounts.global_account())
            until(lambda: status(run) == "queued")
            assert book(run).results == []
            accounts.thaw(accounts.global_account())
            until(lambda: finished(run), 20)

    left = book(run)
    assert left.run.outcome == "submitted"
    assert len(left.answers) == 3
    ran, viewed, _ = left.results
    assert ran.content.startswith("x\nx\n1\n2\n")
    assert ran.detail["exit_code"] == 0
    assert ran.artifact.content.endswith("9999")
    assert ran.artifact.size_bytes == len(ran.artifact.content) + 1
    assert viewed.content == "     1\tx\n     2\tx"


@pytest.mark.django_db(transaction=True)
def test_a_gentle_stop_lets_a_real_command_end_and_keeps_its_result_but_starts_nothing_more(desk, settings):
    script = "echo x >> count.txt; until [ -e go_on ]; do sleep 0.05; done; wc -l < count.txt"
    with rehearsed(call("run", command=script), call("view", path="count.txt"), call("submit_jot")) as order:
        run = start(order, workplace=f"desk:{desk.name}")
        with hosted(QUICK):
            until(lambda: (places.workspace_path(desk.name) / "count.txt").exists())
            accounts.freeze(accounts.global_account(), gently=True)
            time.sleep(1)
            assert status(run) == "running"
            (places.workspace_path(desk.name) / "go_on").touch()
            until(lambda: status(run) == "queued")
            ran = book(run).results
            assert [result.detail["exit_code"] for result in ran] == [0]
            assert ran[0].content.startswith("1\n")
            assert len(book(run).answers) == 1
            accounts.thaw(accounts.global_account())
            until(lambda: finished(run), 20)
    left = book(run)
    assert left.run.outcome == "submitted"
    assert left.results[1].content.startswith("     1\tx"), "the command ran once"
    assert left.run.put_down_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_second_stop_kills_the_command_that_the_first_let_go_on(desk):
    with rehearsed(call("run", command="touch begun; sleep 60"), call("submit_jot")) as order:
        run = start(order, workplace=f"desk:{desk.name}")
        with hosted(QUICK):
            until(lambda: (places.workspace_path(desk.name) / "begun").exists())
            accounts.freeze(accounts.global_account(), gently=True)
            time.sleep(0.5)
            assert status(run) == "running"
            accounts.freeze(accounts.global_account())
            until(lambda: status(run) == "queued")
    assert book(run).results == []


def test_a_look_at_the_files_tells_whether_any_changed(desk):
    sandbox = desk.sandbox()
    assert sandbox.sh(GIT).ok

    def tree() -> str:
        return hands.with_tree(ToolResult("x", detail={"a": 1}), desk).detail.get("tree", "")

    states = [tree()]
    for change in (
        "echo x >> src/app.py", "echo y > 'new file'", "echo z > 'new file'", "rm src/app.py", "git add -A",
        "git -c user.name=a -c user.email=a@b commit -qm two", "mkfifo pipe; ln -s nowhere link", "rm link",
    ):  # fmt: skip
        assert sandbox.sh(change).ok
        states.append(tree())
        assert tree() == states[-1]

    assert all(len(state) == 16 for state in states)
    one, more, new, newer, gone, added, committed, linked, unlinked = states
    assert gone == added, "to stage a change is none"
    assert committed == unlinked
    assert len({one, more, new, newer, gone, committed, linked}) == 7
    assert sandbox.sh("rm -rf .git").ok
    assert tree() == "", "nothing is known of what git does not see"


def test_a_result_is_not_lost_because_the_files_cannot_be_looked_at(desk):
    assert desk.sandbox().sh(f"{GIT} && seq 4000 | xargs touch").ok
    result, stopped = ToolResult("done", detail={"a": 1}), threading.Event()
    stopped.set()

    def looked_s() -> float:
        begun = time.monotonic()
        for looked in (hands.with_tree(result, Nowhere()), hands.with_tree(result, desk, stopped)):
            assert (looked.text, looked.detail) == ("done", {"a": 1, "tree": ""})
        return time.monotonic() - begun

    assert best_s(looked_s, 1) < 1
    assert hands.with_tree(result, desk, threading.Event()).detail["tree"]


FAILING = "echo '1 failed in 0.12s'; exit 1"


def failing_tests_between(*between: str) -> list[Turn]:
    """Tests that fail in the same way, with other commands in between."""
    return [call("run", command=GIT), *[call("run", command=each) for one in between for each in (one, FAILING)]]


@pytest.mark.django_db(transaction=True)
def test_who_changes_files_by_commands_between_failing_tests_is_left_to_work(desk, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    turns = failing_tests_between(*[f"sed -i '$a # {number}' src/app.py" for number in range(6)])
    with rehearsed(*turns, call("submit_jot")) as order:
        run = start(order, workplace=f"desk:{desk.name}")
        with hosted(QUICK):
            until(lambda: finished(run), 30)
    left = book(run)
    assert (left.run.outcome, left.run.rungs.count()) == ("submitted", 0)
    assert "Mission Control" not in "".join(row.content for row in left.results)
    trees = [row.detail.get("tree") for row in left.results]
    looked = [place for place, tree in enumerate(trees) if tree is not None]
    assert looked == [4, 6, 8, 10, 12], "an ordinary step pays nothing"
    assert len({trees[place] for place in looked}) == 5


@pytest.mark.django_db(transaction=True)
def test_who_only_looks_round_between_failing_tests_is_told_and_starts_afresh(desk, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    turns = failing_tests_between("ls", "cat src/app.py", "git log --oneline | wc -l", "pwd", "date +%Y")
    with rehearsed(*turns, call("submit_jot")) as order:
        run = start(order, workplace=f"desk:{desk.name}")
        with hosted(QUICK):
            until(lambda: run.rungs.count() == 2 or finished(run), 30)
            runs.cancel(run, reason="")
            until(lambda: finished(run), 10)
    rungs = [(rung.noticed, rung.count, rung.done) for rung in run.rungs.order_by("pk")]
    assert rungs[:2] == [("same_call", 3, "told"), ("same_call", 4, "fresh_context")]


@pytest.mark.django_db(transaction=True)
def test_who_changed_files_after_the_first_failure_is_not_told_at_the_third(desk, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    turns = failing_tests_between("ls", "sed -i '$a # 1' src/app.py", "pwd")
    with rehearsed(*turns, call("submit_jot")) as order:
        run = start(order, workplace=f"desk:{desk.name}")
        with hosted(QUICK):
            until(lambda: finished(run), 30)
    left = book(run)
    assert (left.run.outcome, left.run.rungs.count()) == ("submitted", 0)
    trees = [left.results[place].detail.get("tree") for place in (2, 4, 6)]
    assert trees[0] is None and trees[1] == trees[2] != ""


@pytest.mark.django_db(transaction=True)
def test_the_record_tells_commands_that_were_done_killed_and_never_carried_out_apart(desk, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    turns = (
        call("run", command="echo dropped >> log.txt", timeout_s=99_999),
        call("run", command="echo kept >> log.txt"),
        call("run", command="sleep 30", timeout_s=1),
    )
    with rehearsed(*turns, call("submit_jot")) as order:
        run = start(order, workplace=f"desk:{desk.name}")
        with hosted(QUICK):
            until(lambda: finished(run), 20)
    left = book(run)
    assert (left.run.outcome, content(desk, "log.txt")) == ("submitted", "kept\n")
    assert record(run.conversation, left.results[-1].pk, 10_000).splitlines()[2:4] == [
        "- ran echo kept >> log.txt (step 1, exit 0)",
        "- ran sleep 30 (step 2, not finished: timeout)",
    ]


@pytest.mark.django_db(transaction=True)
def test_a_run_of_a_model_that_patches_is_offered_the_patch_and_uses_it(desk, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    card = workbench.make_card()
    card.patches = True
    card.save()
    turns = (
        call("edit", path="src/app.py", old="'hello'", new="1"),
        call("apply_patch", patch=MIXED),
        call("submit_jot"),
    )
    desk.sandbox().write_file("old.txt", b"gone\n")
    desk.close()
    with rehearsed(*turns) as order:
        run = start(order, workbench.make_agent(card=card), workplace=f"desk:{desk.name}")
        with hosted():
            until(lambda: finished(run), 30)

    refused, patched, _ = book(run).results
    assert {"apply_patch", "edit"} & set(run.tools) == {"apply_patch"}
    assert "There is no tool 'edit'" in refused.content
    assert patched.detail["paths"] == ["src/main.py", "src/app.py", "docs/new.md", "old.txt"]
    assert "changed src/main.py, src/app.py" in record(run.conversation, patched.pk, 10_000)
    shown = calls.cards(book(run).answers[1], [patched])[0]
    assert (shown.label, shown.line) == ("Patch", "src/main.py, src/app.py, docs/new.md, old.txt")
    assert [file.path for file in shown.files] == ["src/main.py", "src/app.py", "docs/new.md", "old.txt"]


@pytest.mark.django_db(transaction=True)
def test_a_coder_who_changes_nothing_is_told_and_then_taken_out_of_it(desk, settings):
    settings.MCC_REHEARSAL_LATENCY_S = 0
    assert desk.sandbox().sh("git init -q . && git add -A && git -c user.name=a -c user.email=a@b commit -qm one").ok
    desk.close()
    agent = workbench.make_agent(tools=["run", "view", "edit"])
    reads = [call("view", path="src/app.py", start=1, end=n + 1) for n in range(14)]
    turns = [call("run", command=f"echo {n}") if n % 3 else reads[n // 3] for n in range(40)]
    with rehearsed(*turns) as order:
        run = start(order, agent, workplace=f"desk:{desk.name}")
        with hosted():
            until(lambda: run.rungs.filter(done="fresh_context").exists(), 60)
            runs.cancel(run, reason="seen enough")
            until(lambda: finished(run))

    rungs = [(rung.step, rung.noticed, rung.count, rung.done) for rung in run.rungs.order_by("pk")]
    assert rungs == [(24, "no_progress", 12, "told"), (36, "no_progress", 24, "fresh_context")]
