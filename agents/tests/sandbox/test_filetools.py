"""The file tools against a workspace whose owner is hostile."""

import contextlib
import hashlib
import os
import time
from pathlib import Path

import pytest

from agents.sandbox import searching
from agents.sandbox.errors import PathProblem, SandboxPathError
from agents.sandbox.found import Entry, EntryKind, Match
from agents.sandbox.types import MIB

pytestmark = pytest.mark.sandbox


def _problem(call, *arguments, **options) -> PathProblem:
    with pytest.raises(SandboxPathError) as refusal:
        call(*arguments, **options)
    return refusal.value.problem


def test_what_is_written_is_read_back(sandbox):
    data = bytes(range(256)) * 1000

    sandbox.write_file("deep/er/data.bin", data)

    assert sandbox.read_file("deep/er/data.bin") == (len(data), data)
    assert sandbox.read_file("/workspace/deep/er/data.bin", offset=255, limit=3) == (len(data), b"\xff\0\x01")
    assert sandbox.read_file("deep/er/data.bin", offset=10**9) == (len(data), b"")


def test_an_empty_file_and_a_large_one_are_written_whole(sandbox):
    large = os.urandom(3 * MIB)
    sandbox.write_file("empty", b"")
    sandbox.write_file("large", large)

    assert sandbox.read_file("empty") == (0, b"")
    size, data = sandbox.read_file("large", limit=4 * MIB)
    assert (size, hashlib.sha256(data).digest()) == (3 * MIB, hashlib.sha256(large).digest())


def test_overwriting_keeps_the_mode_and_can_be_forbidden(sandbox):
    sandbox.sh("printf old > tool; chmod 755 tool")

    assert _problem(sandbox.write_file, "tool", b"new", overwrite=False) is PathProblem.EXISTS
    sandbox.write_file("tool", b"new")

    assert sandbox.sh("stat -c %a tool; cat tool; ls -A").text == "755\nnewtool\n"


def test_a_new_file_gets_the_mode_that_it_is_given(sandbox):
    sandbox.sh("printf old > old; chmod 600 old; ln -s old link; ln -s /etc/passwd out; mkdir dir")

    sandbox.write_file("plain", b"")
    sandbox.write_file("tool", b"", mode=0o4755)
    sandbox.write_file("old", b"new", mode=0o755)

    modes = [sandbox.mode_of(name) for name in ("plain", "tool", "old", "link")]
    assert modes == [(0o644, False), (0o755, False), (0o600, False), (0o600, True)]
    for name, problem in (("none", "missing"), ("dir", "not_a_file"), ("out", "outside")):
        assert _problem(sandbox.mode_of, name) is PathProblem(problem)


def test_a_real_path_is_told_of_whatever_is_named(sandbox):
    sandbox.sh("mkdir dir; ln -s dir link; ln -s o o; touch 'a\nb'; ln -s 'a\nb' c; ln -s /etc/passwd out")

    names = ["link/new", "dir/../link", "o", "c", "out", "", "-z", "/workspace/link"]
    assert sandbox.real_paths(names) == [
        *(
            "/workspace/dir/new",
            "/workspace/dir",
            "/workspace/o",
            "/workspace/a\nb",
            "/etc/passwd",
            "/workspace",
            "/workspace/-z",
        ),
        "/workspace/dir",
    ]
    assert sandbox.real_paths([]) == []
    with pytest.raises(SandboxPathError, match="NUL"):
        sandbox.real_paths(["a\0b"])


@pytest.mark.parametrize(
    "path", ["../x", "/etc/passwd", "a/../../x", "/workspace/../etc/passwd", "/proc/1/environ", "/workspacex"]
)
def test_paths_outside_are_refused(sandbox, path):
    assert _problem(sandbox.read_file, path) is PathProblem.OUTSIDE
    assert _problem(sandbox.write_file, path, b"x") is PathProblem.OUTSIDE
    assert _problem(sandbox.list_dir, path) is PathProblem.OUTSIDE
    assert _problem(sandbox.search, "x", path) is PathProblem.OUTSIDE


def test_symlinks_lead_nowhere_outside(sandbox):
    sandbox.sh(
        "ln -s /etc/passwd p; ln -s / r; ln -s /proc/self/fd/0 f; ln -s p chain; ln -s loop loop; ln -s /dev/zero z;"
        "ln -s ../../etc/passwd u; ln -s /workspace/real inside; echo yes > real"
    )

    for name in ("p", "chain", "u", "z", "r/etc/passwd", "f"):
        assert _problem(sandbox.read_file, name) in (PathProblem.OUTSIDE, PathProblem.MISSING), name
        assert _problem(sandbox.write_file, name, b"x") is PathProblem.OUTSIDE, name
    assert _problem(sandbox.read_file, "loop") in (PathProblem.OUTSIDE, PathProblem.MISSING, PathProblem.FAILED)
    assert _problem(sandbox.list_dir, "r") is PathProblem.OUTSIDE
    assert sandbox.read_file("inside").data == b"yes\n"
    sandbox.write_file("inside", b"still a link")
    assert sandbox.sh("readlink inside; cat real").text == "/workspace/real\nstill a link"


def test_a_symlink_swapped_in_never_reaches_the_host(sandbox):
    secret = Path("/var/tmp") / f"mcc-test-{os.getpid()}"
    secret.write_text("host")
    try:
        sandbox.sh(f"ln -s {secret} link")
        assert _problem(sandbox.read_file, "link") is PathProblem.OUTSIDE
        assert _problem(sandbox.write_file, "link", b"gone") is PathProblem.OUTSIDE
        assert secret.read_text() == "host"
    finally:
        secret.unlink()


def test_what_is_no_regular_file_is_refused_at_once(sandbox):
    sandbox.sh("mkfifo fifo; mkdir dir; mkdir 'dir/sub'")

    for name in ("fifo", "dir", ""):
        assert _problem(sandbox.read_file, name) is PathProblem.NOT_A_FILE
        assert _problem(sandbox.write_file, name, b"x") is PathProblem.NOT_A_FILE
    assert _problem(sandbox.read_file, "none") is PathProblem.MISSING
    assert _problem(sandbox.list_dir, "fifo") is PathProblem.NOT_A_DIRECTORY
    assert _problem(sandbox.write_file, "fifo/x", b"x") is PathProblem.FAILED


def test_a_sparse_terabyte_costs_only_what_is_asked_for(make_sandbox):
    sandbox = make_sandbox(file_size=1 << 41)
    sandbox.sh("truncate -s 1T sparse")

    assert sandbox.read_file("sparse", offset=(1 << 40) - 5, limit=100) == (1 << 40, b"\0" * 5)


def test_lines_are_counted_as_far_as_that_is_reasonable(make_sandbox):
    sandbox = make_sandbox(file_size=1 << 41)
    sandbox.sh("printf 'a\\nb' > f; : > empty; printf 'x\\n' > huge; truncate -s 1T huge; yes | head -c 9000 > text")
    sandbox.sh("truncate -s 1T text")

    assert sandbox.read_lines("f") == (3, 2, False, b"a\nb")
    assert sandbox.read_lines("f", start=2, count=1, limit=1) == (3, 2, False, b"b")
    assert sandbox.read_lines("f", start=3) == (3, 2, False, b"")
    assert sandbox.read_lines("empty") == (0, 0, False, b"")
    assert sandbox.read_lines("huge") == (1 << 40, None, True, b"")
    assert sandbox.read_lines("text") == (1 << 40, None, False, b"")
    assert _problem(sandbox.read_lines, "/etc/passwd") is PathProblem.OUTSIDE
    assert _problem(sandbox.read_lines, "") is PathProblem.NOT_A_FILE


@pytest.mark.parametrize(
    "name", ["-rf", "--", "a b", "new\nline", "ends\n", "$(id)", "'", '"', "*", "tab\t", "ü", "\\n", ".hidden"]
)
def test_awkward_names_are_only_names(sandbox, name):
    sandbox.write_file(name, b"mine")

    assert sandbox.read_file(name) == (4, b"mine")
    assert sandbox.list_dir() == [Entry(name, EntryKind.FILE, 4)]
    assert sandbox.sh("ls -A | tr -d '\\n'").text == name.replace("\n", "") or "\n" in name


def test_a_nul_in_a_path_is_refused(sandbox):
    for call in (sandbox.read_file, sandbox.list_dir):
        assert _problem(call, "a\0b") is PathProblem.FAILED
    assert _problem(sandbox.write_file, "a\0b", b"") is PathProblem.FAILED


def test_listing_goes_as_deep_as_asked_and_leaves_git_out(sandbox):
    sandbox.sh("mkdir -p a/b/c .git/x; echo 1 > a/f; ln -s f a/link; mkfifo a/fifo; touch .git/x/y")

    assert [entry.path for entry in sandbox.list_dir()] == ["a"]
    assert {entry.path: entry.kind.value for entry in sandbox.list_dir("a", depth=2)} == {
        "b": "directory",
        "b/c": "directory",
        "f": "file",
        "fifo": "other",
        "link": "symlink",
    }
    assert len(sandbox.list_dir("a", depth=9, limit=2)) == 2


def test_searching_answers_files_first_then_lines(sandbox):
    sandbox.sh(
        "mkdir -p src/x .git; echo needle > .git/n; echo needle > src/x/two.c;"
        "printf 'a\\nneedle 1\\nneedle 2\\n' > src/one.py;"
        "printf 'needle\\0' > binary; mkfifo fifo; ln -s /etc/passwd link; ln -s / rootlink"
    )

    found = sandbox.search("need[l]e", limit=2)

    assert dict(found.files) == {"src/one.py": 2, "src/x/two.c": 1}
    assert (len(found.matches), found.truncated) == (2, True)
    only = sandbox.search("needle [0-9]$", "src", glob="*.py")
    assert only.matches == (Match("src/one.py", 2, "needle 1"), Match("src/one.py", 3, "needle 2"))
    assert not only.truncated
    assert sandbox.search("needle", "src/x/two.c").matches == (Match("src/x/two.c", 1, "needle"),)
    assert sandbox.search("absent").files == ()


def test_a_search_pattern_is_never_an_option_nor_a_command(sandbox):
    sandbox.write_file("f", b"--help\n$(id)\n")

    assert sandbox.search("--help").files == (("f", 1),)
    assert sandbox.search(r"\$\(id\)").files == (("f", 1),)
    with pytest.raises(SandboxPathError, match="regular expression"):
        sandbox.search("(")


GIT = "git -c user.name=a -c user.email=a@b"


def test_what_git_ignores_is_searched_only_where_it_is_named(sandbox):
    sandbox.sh(
        "git init -q .; mkdir -p node_modules/x src; printf 'node_modules\\n*.log\\n' > .gitignore;"
        "echo needle | tee node_modules/x/i.js src/new.js kept.log other.log > src/app.js;"
        f"git add -f kept.log src/app.js; {GIT} commit -qm one"
    )

    found = sandbox.search("needle")

    assert dict(found.files) == {"kept.log": 1, "src/app.js": 1, "src/new.js": 1}
    assert sandbox.search("needle", "node_modules").files == (("node_modules/x/i.js", 1),)
    assert sandbox.search("needle", "other.log").files == (("other.log", 1),)
    sandbox.sh("rm -rf .git")
    assert set(dict(sandbox.search("needle").files)) == {"src/app.js", "src/new.js"}


@pytest.mark.parametrize("init", ["true", "git init -q ."])
def test_a_glob_names_files_anywhere_or_a_path(sandbox, init):
    sandbox.sh(f"{init}; mkdir -p src/deep web; echo needle | tee top.py src/a.py src/deep/b.py web/c.ts > web/d.tsx")

    def files(glob: str, path: str = "") -> set[str]:
        return set(dict(sandbox.search("needle", path, glob).files))

    assert files("*.py") == {"top.py", "src/a.py", "src/deep/b.py"}
    assert files("src/*.py") == files("/src/*.py") == {"src/a.py"}
    assert files("src/**/*.py") == files("*.py", "src") == {"src/a.py", "src/deep/b.py"}
    assert files("deep/*.py", "src") == {"src/deep/b.py"}
    assert files("*.{ts,tsx}") == files("{*.ts,*.{tsx,css}}") == files("web") == {"web/c.ts", "web/d.tsx"}
    assert files("src") == files("src/") == files("./src") == files("/src/") == {"src/a.py", "src/deep/b.py"}
    assert files("deep") == files("src/deep") == files("deep", "src") == {"src/deep/b.py"}
    assert files("src/*") == {"src/a.py"}
    assert files("a.py,*.ts") == files("a.py, *.ts") == files("src/*.py,web/*.{ts,css}") == {"src/a.py", "web/c.ts"}
    assert files("") == files(".") == files("./") == files("/") == files("**/*") and len(files("")) == 5
    assert files("sr*/") == files("./sr*/") == files("s?c/") == {"src/a.py", "src/deep/b.py"}
    assert files("src/*/") == files("*/deep/") == files("d*/") == files("src/d*/") == {"src/deep/b.py"}
    assert files("top.py,we*/") == {"top.py", "web/c.ts", "web/d.tsx"}
    assert files("none*/") == files("*.py/") == set()
    with pytest.raises(SandboxPathError, match=r"^The glob '\{,\}' names no file\.$"):
        files("{,}")
    sandbox.sh("echo needle > 'a,b.txt'")
    assert files("a,b.txt") == {"a,b.txt"}
    with pytest.raises(SandboxPathError, match="more than 64"):
        files("{a,b}" * 40)
    with pytest.raises(SandboxPathError, match="more than 64"):
        files("a," * 64)


def test_a_pattern_means_the_same_wherever_it_is_searched(sandbox):
    sandbox.sh("printf 'abab\\nabba\\n' > f; mkdir r; cp f r; cd r; git init -q .; git config grep.patternType fixed")
    for path in ("f", "r"):
        assert [match.text for match in sandbox.search(r"^(ab)\1$", path).matches] == ["abab"]
        with pytest.raises(SandboxPathError, match=r"regular expression: Unmatched"):
            sandbox.search("(ab", path)


def test_a_pattern_means_what_models_write(sandbox):
    lines = ("bar 12", "bar x", "foo", "d", "a\\d", "cost$", "a\tb", "it's", "x$y", "foo 1")
    sandbox.write_file("unix", "\n".join(lines).encode() + b"\n")
    sandbox.write_file("crlf", "\r\n".join(lines).encode() + b"\r\n")

    for path in ("unix", "crlf"):

        def found(pattern: str, path: str = path) -> list[str]:
            return [match.text for match in sandbox.search(pattern, path).matches]

        assert found(r"bar \d+") == found(r"bar \d\d$") == found(r"^\w+ \d{2}$") == ["bar 12"]
        assert found(r"^bar\s\D$") == ["bar x"]
        assert found("foo$") == found("^(foo|nothing)$") == found(r"\bfoo($|x)") == ["foo"]
        assert found(r"\\d$") == ["a\\d"] and found(r"^[\d]$") == ["d"]
        assert found(r"t\$$") == ["cost$"] and found(r"x\$y") == found("x[$]y") == found("[]$]y") == ["x$y"]
        assert found(r"a\tb") == ["a\tb"] and found(r"it\'s") == ["it's"]
        assert found(r"[[:alpha:]$][[:digit:]$]") == ["cost$", "x$y"] and found(r"[^]$[:alpha:]] [[:digit:]]$") == []
        with pytest.raises(SandboxPathError, match=r"^'\[\\\\d\$' is no extended regular expression"):
            found(r"[\d$")


def test_a_hostile_pattern_or_glob_is_read_in_little_time(sandbox):
    began = time.process_time()
    for piece in ("[", "[[:a", "[[:a:]", "\\", "$", "[^]"):
        searching.extended(piece * 200_000)
    for glob in ("{" + "," * 60_000, "*" * 60_000 + "/x", "[" * 60_000 + "/x", "a" * 4_000_000):
        with pytest.raises(SandboxPathError, match=r"^The glob has [\d,]+ characters; at most 1,000 are looked for\.$"):
            sandbox.search("x", glob=glob)
    for piece in ("{", "{,", "{a,", "{a,b}", ",", "}", "*", "[", "{{a,b},c}", "a/"):
        with contextlib.suppress(SandboxPathError):
            searching.asked("x", (piece * 1000)[:1000])
    with pytest.raises(SandboxPathError, match=r"^The pattern has 1,001 characters"):
        sandbox.search("a" * 1001)
    assert sandbox.search("a" * 1000, glob="a" * 1000).files == ()
    assert time.process_time() - began < 5


def test_the_repository_s_own_configuration_does_not_bend_a_search(sandbox):
    sandbox.sh(
        "git init -q .; mkdir sub; echo needle > sub/f; printf '* diff=x\\n' > .gitattributes;"
        "for set in color.ui=always color.grep=always grep.column=true grep.fullName=true grep.lineNumber=false"
        " diff.x.textconv=/workspace/evil core.fsmonitor=/workspace/evil core.pager=/workspace/evil;"
        " do git config ${set%%=*} ${set#*=}; done;"
        "printf '#!/bin/sh\\ntouch /workspace/ran; echo forged\\n' > evil; chmod +x evil"
    )

    assert sandbox.search("need", "sub").matches == (Match("sub/f", 1, "needle"),)
    assert sandbox.search("forged", "sub").files == ()
    assert sandbox.sh("ls ran").exit_code != 0


def test_a_search_that_git_cannot_make_says_why(sandbox):
    sandbox.sh("git init -q .; echo needle > f; echo '[' > .git/config")
    with pytest.raises(SandboxPathError, match=r"Nothing could be searched: .*bad config"):
        sandbox.search("needle")


def test_very_many_lines_of_one_file_hide_no_other(sandbox):
    sandbox.sh("yes 'needle in a very long haystack' | head -n 90000 > a.txt; echo needle > z.txt")

    found = sandbox.search("needle", limit=20)

    assert found.files == (("a.txt", 90000), ("z.txt", 1))
    assert (len(found.matches), found.truncated) == (20, True)


def test_an_endless_line_is_cut(sandbox):
    sandbox.sh("head -c 3M /dev/zero | tr '\\0' x > min.js; echo >> min.js")

    assert [len(match.text) for match in sandbox.search("x+", "min.js").matches] == [500]


def test_programs_in_the_workspace_do_not_replace_the_tools(make_sandbox):
    evil = {"PATH": "/workspace/bin:/usr/bin:/bin", "BASH_ENV": "/workspace/evil", "ENV": "/workspace/evil"}
    sandbox = make_sandbox(env=evil)
    sandbox.sh(
        "mkdir bin; for t in stat realpath cat head tail find sort; do"
        " printf '#!/bin/sh\\necho forged\\n' > bin/$t; done; /bin/chmod +x bin/*"
    )

    sandbox.write_file("f", b"true")

    assert sandbox.read_file("f") == (4, b"true")
