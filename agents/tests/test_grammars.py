"""Where files do not parse, said by a process that may do nothing but read them."""

import subprocess
import sys
import time

import pytest

from agents.grammars import languages, parsing, reader
from agents.grammars.parsing import faults
from agents.sandbox import seccomp

SOUND = {
    "a.py": "type X = int\ndef f[T](x: T) -> T:\n    return x\n",
    "A.JSON": '{"a": [1]}',
    "pyproject.toml": "a = 1",
    "a.js": "const f = async (x) => x?.y ?? <b>{x}</b>;",
    "a.mjs": "import x from './x.js'; export default x;",
    "a.ts": "export const f = <T,>(x: T): T => x as T satisfies unknown;",
    "a.tsx": "export const App = (p: {x: string}) => <b>{p.x}</b>;",
    "a.yaml": "a:\n  - b: 1\n  - c\n",
    "a.go": "package a\nfunc F[T any](x T) T { return x }\n",
    "a.rs": "fn f<'a>(x: &'a str) -> &'a str { x }",
    "A.java": "record A(int x) { int y() { return x; } }",
    "a.rb": "def f(x) = x&.y\n",
    "a.php": "<?php function f(int $x): int { return $x; }",
    "a.css": "a { color: red; &:hover { color: blue } }",
    "a.cpp": "template <class T> auto f(T x) -> T { return x; }",
    "a.cs": "class A { int X => 1; }",
    "a.kt": "fun f(x: Int) = x",
    "a.html": "<p>a<br>b</p>",
    "a.sh": 'if [ -n "$x" ]; then echo; fi',
}
BROKEN = {
    "a.py": ("x = 1\ny = (\n", 2),
    "a.json": ('{"a": }', 1),
    "a.toml": ("a = 1\nb =", 2),
    "a.js": ("const a = 1;\nfunction f( {\n", 2),
    "a.ts": ("const a: = 1;", 1),
    "a.tsx": ("const a = <b>;", 1),
    "a.yaml": ("a: [1, 2\nb: }\n", 1),
    "a.go": ("package a\nfunc F( {\n", 2),
    "a.rs": ("fn f( {}", 1),
    "A.java": ("class A { int x( }", 1),
    "a.css": ("a { color: red; }\nb { color red }", 2),
    "a.php": ("<?php function f( {", 1),
}


@pytest.mark.parametrize("path", SOUND)
def test_a_sound_text_has_no_fault(path):
    assert faults(path, SOUND[path]) == []


@pytest.mark.parametrize("path", ["a.js", "a.jsx", "a.tsx"])
@pytest.mark.parametrize(
    "text",
    [
        "const a = <h1>Terms & Conditions</h1>;\n",
        "const a = <div>R&D</div>;\n",
        'const a = <a href="/x?a=1&b=2">{b && c & 1}</a>;\n',
        "const a = <p>&lt;5 &#39; AT&T a&b;</p>;\na &&= b;\na &= 1;\n",
    ],
)
def test_an_ampersand_in_an_element_is_no_fault(path, text):
    assert faults(path, text) == []
    assert faults(path, text + "const c = (\n")


def test_an_ampersand_that_is_an_operator_is_read_as_one():
    sound = "type A = B & C<D & { e: string }>;\nlet f: (a: A) => a is A & {};\nif (a && b & 1) a &&= c;\n"
    assert faults("a.tsx", sound) == []
    assert [str(fault) for fault in faults("a.tsx", "\nx = a & & b;\n")] == ["line 2: unexpected '&'"]


@pytest.mark.parametrize("path", BROKEN)
def test_a_fault_has_its_line(path):
    text, line = BROKEN[path]

    found = faults(path, text)

    assert found and found[0].what
    assert abs(found[0].line - line) <= 1


def test_every_language_has_its_reader():
    known = {*languages._BY_SUFFIX.values(), *languages._BY_NAME.values()}
    dialects = {dialect for language in known for dialect in (*language.dialects, *language.wider)}
    refusing_nothing = [dialect for dialect in sorted(dialects) if reader.reader_of(dialect).faults(b"")]

    assert refusing_nothing == ["commented_json", "json"]


WIDER = {
    "comment": ("a.json", '{"a": 1} // "one"\n'),
    "comment in the middle": ("a.json", '/* { */{"a" /* : */: "//", // 1\n"b": "\\"/*"}'),
    "last commas": ("a.json", '[1, {"a": ",]", } , /* end */ ]\n'),
    "lines of a table": ("a.toml", "a = {\n  b = 1, # one\n  c = [2],\n}\n"),
    "last comma": ("a.toml", "a = {b = 1,}\n"),
    "escapes": ("a.toml", 'a = "\\e[0m \\x41"\n'),
    "minutes": ("a.toml", "a = 2026-11-27T14:30Z\nb = 14:30\n"),
}


@pytest.mark.parametrize(("path", "text"), WIDER.values(), ids=WIDER.keys())
def test_what_not_every_reader_takes_is_known_from_what_none_does(path, text):
    assert faults(path, text) != []
    assert faults(path, text, wider=True) == []


@pytest.mark.parametrize(
    ("path", "text", "line"),
    [
        ("a.json", '{\n// one\n"a": 1, "b"\n}', 4),
        ("a.json", "/* one\ntwo */\n[1 2]", 3),
        *(("a.json", text, 1) for text in ("[,]", "{ , }", '{"a": 1} /*', '{"a": 1} /*/', '{"a": "b // c}', "", "//")),
        ("a.toml", "a = {b = 1 c = 2,}\n", 1),
    ],
)
def test_a_mistake_is_one_for_every_reader(path, text, line):
    assert [fault.line for fault in faults(path, text, wider=True)] == [line]


@pytest.mark.parametrize("text", ['"\\"' * 300_000, "/*" * 400_000, "[ " * 400_000, ", " * 400_000, '"\n' * 400_000])
def test_comments_and_commas_are_found_in_one_pass(text):
    began = time.process_time()

    assert reader.reader_of("commented_json").faults(text.encode())

    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    "path",
    [
        *("a.txt", "a", "Makefile", "deno.jsonc", "turbo.json", ".swcrc", "x/.swcrc.json", ".vscode/settings.json"),
        *("tsconfig.json", "tsconfig.app.json", "tsconfig-base.json", "appsettings.Development.json"),
        "common/config/rush/pnpm-config.json",
    ],
)
def test_what_nothing_reads_has_no_fault(path):
    assert faults(path, "{ // a comment\n((((") == []


@pytest.mark.parametrize(
    "path",
    ["denormalized.json", "nxt.json", "rushed.json", "turbocharge.json", "rush/data.json", "tsconfigs.json"],
)
def test_a_name_that_only_begins_like_one_with_comments_is_read(path):
    assert faults(path, "{ // a comment\n((((")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 200_000,
        "-" * 200_000 + "1",
        "x" + "[0]" * 100_000,
        "lambda:" * 50_000 + "1",
        "\0",
        "\ud800",
        "{[" * 100_000,
    ],
    ids=["open", "minus", "index", "lambda", "nul", "surrogate", "mixed"],
)
def test_a_hostile_text_costs_a_process_of_its_own_and_little_time(text):
    began = time.monotonic()

    for path in ("a.py", "a.json", "a.ts", "a.yaml"):
        faults(path, text)

    assert time.monotonic() - began < 4 * parsing.DEADLINE_S + 5


def test_a_text_that_is_too_large_is_not_read():
    assert faults("a.py", "(" * (parsing.MOST_BYTES + 1)) == []


@pytest.mark.parametrize(
    "attempt",
    [
        "open('/etc/passwd')",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "__import__('socket').socket()",
        "os.kill(1, 0)",
    ],
)
def test_whoever_takes_the_reader_over_can_open_start_and_reach_nothing(attempt):
    program = (
        "import os, socket, sys\n"
        "from agents.grammars import reader\n"
        f"reader.confine({parsing.MEMORY}, {parsing.CPU_S}, bytes.fromhex(sys.argv[1]))\n"
        f"try:\n    {attempt}\n"
        "except PermissionError:\n    os.write(1, b'refused')\n"
        "os._exit(0)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, seccomp.only_reading().hex()], capture_output=True, text=True, timeout=30
    )

    assert done.stdout == "refused", done.stderr


@pytest.mark.parametrize(("path", "sound"), [("a.py", "x = 1\n"), ("a.json", "{}"), ("a.toml", "a = 1\n")])
def test_a_mark_at_the_beginning_is_no_fault_and_hides_none(path, sound):
    text, line = BROKEN[path]

    assert faults(path, "\ufeff" + sound) == []
    assert abs(faults(path, "\ufeff" + text)[0].line - line) <= 1
