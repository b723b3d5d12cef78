"""Definitions and uses, as grammars read them: of every language that one of them knows, and whatever the text does."""

import logging
from pathlib import Path

import pytest

from agents.grammars import parsing, reader, tagging
from agents.grammars.queries import QUERIES

SAMPLES = {
    "a.py": ("LIMIT = 1\nclass A(B):\n    @wrap\n    async def m(self): ...\n", "LIMIT A m"),
    "a.js": (
        "export default class A { m(x) { return this.z } }\nexport async function f(a) {}\nconst g = async (x) => x;\n"
        "export const K = 3;\nfunction* h() { let inner = 1 }\n",
        "A m f g K h",
    ),
    "a.ts": (
        "export interface I<T> { m(x: number): void }\nexport type U = string | I;\nenum E { A }\nabstract class C {}\n"
        "declare function d(a: string): void;\nnamespace N { export function q() {} }\n",
        "I m U E C d N q",
    ),
    "a.tsx": ("export function App(p: Props) { return <Foo bar={p.x}/>; }\nconst Z: React.FC = () => <a/>;\n", "App Z"),
    "a.go": (
        "package a\ntype Box struct { A int }\nfunc (s *Box) Serve(x int) error { return nil }\n"
        "const K = 1\nvar V = 2\n",
        "Box Serve K V",
    ),
    "a.rs": (
        "pub struct S<T> { a: T }\nimpl<T> S<T> { pub fn new() -> Self { todo!() } }\ntrait T1 { fn q(&self); }\n"
        "mod m { }\nmod elsewhere;\nmacro_rules! mm { () => {} }\nconst C: i32 = 1;\n",
        "S new T1 q m mm C",
    ),
    "A.java": (
        "class A extends B { A(int x) {} void m() { x.call(); } enum E { Q } record R(int a) {} }\n",
        "A A m E R",
    ),
    "a.rb": ("module M\n class A < B\n  LIMIT = 1\n  def m(x); end\n  def self.s; end\n end\nend\n", "M A LIMIT m s"),
    "a.php": ("<?php interface I { function q(); } class A { function m($x) {} } function f($a) {}\n", "I q A m f"),
    "a.c": (
        "#define MOST(x) x\nstruct s { int a; };\nstruct s *seen;\ntypedef int t;\n"
        "static int *f(int a) { return g(a); }\n",
        "MOST s t f",
    ),
    "a.cpp": (
        "namespace n { template <class T> class A : public B { void m(int x) { } }; enum class E { X }; }\n"
        "void n::A::q(int a) const { }\n",
        "n A m E q",
    ),
    "a.cs": ("namespace N { class A : B { int P { get; set; } void M() { X(); } } record R(int a); }\n", "A P M R"),
    "a.kt": ("class A(val x: Int) : B() {\n  fun m(s: String): Int = 1\n}\nobject O {}\nfun top() {}\n", "A m O top"),
    "a.sh": ("f() { g; }\nfunction h { ls; }\n", "f h"),
}


def test_every_grammar_with_a_query_finds_what_its_language_defines():
    read = tagging.tags([(path, text) for path, (text, _) in SAMPLES.items()])
    names = {path: [name for name, _, _ in each.definitions] for path, each in zip(SAMPLES, read, strict=True) if each}
    assert names == {path: wanted.split() for path, (_, wanted) in SAMPLES.items()}
    assert {tagging.dialect_of(path) for path in SAMPLES} == set(QUERIES)


def test_lines_are_counted_and_the_first_line_is_told_as_it_is_written():
    [read] = tagging.tags([("a.py", "\n\nclass A(\n    B,\n):\n    async def m(self, x: int) -> str:\n        pass\n")])
    assert read and list(read.definitions) == [
        ["A", 3, "class A( B, )"],
        ["m", 6, "async def m(self, x: int) -> str"],
    ]
    assert read.words == {"A": 1, "B": 1, "m": 1, "self": 1, "x": 1, "int": 1, "str": 1}


def test_what_nobody_reads_has_no_tags():
    assert tagging.tags([]) == []
    assert tagging.tags([("notes.md", "# def f"), ("a.json", "{}"), ("a.py", "def f(): ...")])[:2] == [None, None]


def test_a_text_that_kills_its_reader_loses_only_its_own_tags(tmp_path, monkeypatch, caplog):
    """A reader that crashes on one word stands in for a grammar that does: the rest is read by the next process."""
    broken = tmp_path / "reader.py"
    text = Path(reader.__file__).read_text()
    crash = "    def tags(self, data: bytes) -> Tags:\n        if b'crash' in data: os.abort()\n"
    assert "    def tags(self, data: bytes) -> Tags:\n" in text
    broken.write_text(text.replace("    def tags(self, data: bytes) -> Tags:\n", crash))
    plain = parsing.command()
    monkeypatch.setattr(parsing, "command", lambda: (*plain[:-2], str(broken), plain[-1]))
    texts = [("a.py", "def a(): ..."), ("b.py", "crash = 1"), ("c.py", "def c(): ..."), ("d.md", "")]

    with caplog.at_level(logging.WARNING):
        read = tagging.tags(texts)

    assert [[name for name, _, _ in each.definitions] if each else None for each in read] == [["a"], None, ["c"], None]
    assert "the reader of b.py ended with -" in caplog.text
    caplog.clear()
    many = [(f"{number}.py", "crash") for number in range(10)]
    assert tagging.tags([*many, ("z.py", "def z(): ...")]) == [None] * 11
    assert caplog.text.count("the reader of") == tagging.LOST


@pytest.mark.parametrize("text", ["(" * 200_000, "def f(" * 30_000, "\x00" * 1000, "\ufffd" * 1000])
def test_hostile_text_comes_to_an_end(text):
    [read] = tagging.tags([("a.py", text)])
    assert read is None or read.definitions == []
