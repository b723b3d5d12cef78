"""The process that parses what strangers wrote. It is a program of its own, which knows nothing of Mission Control.

Argument: the directory that holds the packages. Standard input: a line of JSON, the order, a line with a seccomp
program in hexadecimal, then what is read. Before it reads it has loaded all it needs: the filter leaves no way to open
anything. Each order has ``memory`` (bytes) and ``cpu_s``, and one of

``dialects``, a list, for one text: where it does not parse, as JSON, a list of [line, what];
``queries``, by dialect, for texts, each after a line ``dialect bytes``: for each a line of JSON, written before the
next is read, ``[[[name, line, how it is written], …], {word: how often}]``.
"""

import ast
import ctypes
import importlib
import json
import os
import re
import resource
import sys
import tomllib
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

MOST_FAULTS = 5
SHOWN_CHARS = 60
WRITTEN_BYTES, INDENT_BYTES = 300, 40
NO_NEW_PRIVILEGES, SET_SECCOMP, BY_FILTER = 38, 22, 2  # of prctl(2)
FACTORIES = {
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "php": ("tree_sitter_php", "language_php"),
}

WITH_ELEMENTS = ("javascript", "tsx")
"""Grammars that refuse an ``&`` in the text and the attributes of an element (JSX), where it is allowed. Instead of
it they read ``|``, which is allowed in just the places where ``&`` is: both are operators on values and on types."""

# A string without an end is one all the same, as is a comment: no text is looked through twice.
COMMENT = re.compile(r'"(?:[^"\\\n]|\\.)*"?|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
LAST_COMMA = re.compile(r'"(?:[^"\\\n]|\\.)*"?|[\[{]\s*,|,(?=\s*[}\]])', re.DOTALL)
NO_LINE_END = re.compile(r"[^\n]")

NAME = re.compile(r"\w+(?=\W*$)")

Fault = tuple[int, str]
Tags = tuple[list[tuple[str, int, str]], dict[str, int]]


class Reader(Protocol):
    def faults(self, data: bytes) -> list[Fault]: ...


class Grammar:
    """A grammar of tree-sitter, loaded with all that it will need."""

    def __init__(self, name: str, query: str = "") -> None:
        """``query`` finds ``@definition`` with its ``@name``, and ``@word``, a name that is used."""
        tree_sitter = importlib.import_module("tree_sitter")
        package, factory = FACTORIES.get(name, (f"tree_sitter_{name}", "language"))
        language = tree_sitter.Language(getattr(importlib.import_module(package), factory)())
        self._parser = tree_sitter.Parser(language)
        self._has_elements = name in WITH_ELEMENTS
        self._cursor = tree_sitter.QueryCursor(tree_sitter.Query(language, query)) if query else None

    def faults(self, data: bytes) -> list[Fault]:
        """Return the first places that the grammar could not read, in the order of the text."""
        found: list[Fault] = []
        waiting = [self._parser.parse(data.replace(b"&", b"|") if self._has_elements else data).root_node]
        while waiting and len(found) < MOST_FAULTS:
            node = waiting.pop()
            if node.is_missing:
                found.append((node.start_point[0] + 1, f"{node.type!r} is missing"))
            elif node.is_error:
                text = data[node.start_byte : node.end_byte].decode("utf-8", "replace").strip().partition("\n")[0]
                what = f"unexpected {text[:SHOWN_CHARS]!r}" if text else "something is missing or out of place"
                found.append((node.start_point[0] + 1, what))
            elif node.has_error:
                waiting += reversed(node.children)
        return found

    def tags(self, data: bytes) -> Tags:
        """Return what the text defines, in its order, and which names occur in it how often, definitions included."""
        assert self._cursor is not None
        words: Counter[str] = Counter()
        definitions = {}
        for _, found in self._cursor.matches(self._parser.parse(data).root_node):
            for node in found.get("word", ()):
                words[_text(data, node.start_byte, node.end_byte)] += 1
            for node in found.get("definition", ()):
                name = found["name"][0]
                if called := NAME.search(_text(data, name.start_byte, name.end_byte)):
                    definitions[name.start_byte] = called[0], name.start_point[0] + 1, _written(data, node)
        return [definitions[place] for place in sorted(definitions)], words


def _written(data: bytes, node: Any) -> str:  # noqa: ANN401 (tree_sitter is loaded late)
    """Return how a definition begins: its lines until its body, on one line; with what stands before it, if short."""
    line = data.rfind(b"\n", 0, node.start_byte) + 1
    start = line if node.start_byte - line <= INDENT_BYTES else node.start_byte
    body = node.child_by_field_name("body")
    end = body.start_byte if body else data.find(b"\n", node.start_byte)
    written = _text(data, start, min(end if end >= 0 else len(data), start + WRITTEN_BYTES))
    return " ".join(written.split()).rstrip(" :{=")


def _text(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode("utf-8", "replace")


class Exact:
    """A parser that knows better than a grammar what is wrong."""

    def __init__(self, parse: Callable[[str], object]) -> None:
        self._parse = parse

    def faults(self, data: bytes) -> list[Fault]:
        try:
            self._parse(data.decode().removeprefix("\ufeff"))
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            what = getattr(error, "msg", "") or str(error) or type(error).__name__
            return [(getattr(error, "lineno", None) or 1, what)]
        return []


def commented_json(text: str) -> object:
    """Read JSON with comments, and with a comma behind the last of several. Raises ValueError."""
    return json.loads(LAST_COMMA.sub(_blank_comma, COMMENT.sub(_blank_comment, text)))


def _blank_comment(found: re.Match[str]) -> str:
    whole = found[0]
    is_closed = whole.startswith("//") or (len(whole) >= 4 and whole.endswith("*/"))
    return NO_LINE_END.sub(" ", whole) if whole.startswith("/") and is_closed else whole


def _blank_comma(found: re.Match[str]) -> str:
    return " " if found[0] == "," else found[0]


def toml_1_1() -> Callable[[str], object]:
    parse: Callable[[str], object] = importlib.import_module("tomli").loads
    return parse


PARSERS: dict[str, Callable[[], Callable[[str], object]]] = {
    "ast": lambda: ast.parse,
    "json": lambda: json.loads,
    "commented_json": lambda: commented_json,
    "toml": lambda: tomllib.loads,
    "toml_1_1": toml_1_1,
}


def reader_of(dialect: str) -> Reader:
    return Exact(PARSERS[dialect]()) if dialect in PARSERS else Grammar(dialect)


def faults(readers: list[Reader], data: bytes) -> list[Fault]:
    """Return what the first reader finds wrong, if every one finds something."""
    found = []
    for reader in readers:
        found.append(reader.faults(data))
        if not found[-1]:
            return []
    return found[0]


def confine(memory: int, cpu_s: int, program: bytes) -> None:
    """Give up what reading does not need. Raises OSError."""
    limits = {resource.RLIMIT_AS: memory, resource.RLIMIT_CPU: cpu_s, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0}
    for what, most in limits.items():
        resource.setrlimit(what, (most, most))
    held = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions (8 bytes each), and where they are.
    head = (ctypes.c_size_t * 2)(len(program) // 8, ctypes.addressof(held))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    if prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or prctl(SET_SECCOMP, BY_FILTER, ctypes.byref(head), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter of system calls was refused")


def read_all(grammars: dict[str, Grammar]) -> None:
    """Answer each text that comes in with its tags."""
    while line := sys.stdin.buffer.readline():
        dialect, size = line.decode().split()
        write(json.dumps(grammars[dialect].tags(sys.stdin.buffer.read(int(size)))) + "\n")


def write(answer: str) -> None:
    data = answer.encode()
    while data:
        data = data[os.write(1, data) :]


def main() -> None:
    sys.path.append(sys.argv[1])
    order = json.loads(sys.stdin.buffer.readline())
    readers = [reader_of(dialect) for dialect in order.get("dialects", ())]
    grammars = {dialect: Grammar(dialect, query) for dialect, query in order.get("queries", {}).items()}
    confine(order["memory"], order["cpu_s"], bytes.fromhex(sys.stdin.buffer.readline().decode()))
    if grammars:
        read_all(grammars)
    else:
        write(json.dumps(faults(readers, sys.stdin.buffer.read())))
    # Nothing is tidied up: what a hostile text left behind in memory is not touched again.
    os._exit(0)


if __name__ == "__main__":
    main()
