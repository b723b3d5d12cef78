"""The process that parses what strangers wrote. It is a program of its own, which knows nothing of Mission Control.

Argument: the directory that holds the packages. Standard input: a line of JSON, ``{"dialects": […], "memory": bytes,
"cpu_s": …}``, a line with a seccomp program in hexadecimal, then the text. Standard output: the faults as JSON, a list
of [line, what]. Before it reads the text it has loaded all it needs: the filter leaves no way to open anything.
"""

import ast
import ctypes
import importlib
import json
import os
import resource
import sys
import tomllib
from collections.abc import Callable
from typing import Protocol

MOST_FAULTS = 5
SHOWN_CHARS = 60
NO_NEW_PRIVILEGES, SET_SECCOMP, BY_FILTER = 38, 22, 2  # of prctl(2)
FACTORIES = {
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "php": ("tree_sitter_php", "language_php"),
}

Fault = tuple[int, str]


class Reader(Protocol):
    def faults(self, data: bytes) -> list[Fault]: ...


class Grammar:
    """A grammar of tree-sitter, loaded with all that it will need."""

    def __init__(self, name: str) -> None:
        tree_sitter = importlib.import_module("tree_sitter")
        package, factory = FACTORIES.get(name, (f"tree_sitter_{name}", "language"))
        language = getattr(importlib.import_module(package), factory)()
        self._parser = tree_sitter.Parser(tree_sitter.Language(language))

    def faults(self, data: bytes) -> list[Fault]:
        """Return the first places that the grammar could not read, in the order of the text."""
        found: list[Fault] = []
        waiting = [self._parser.parse(data).root_node]
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


class Exact:
    """A parser of Python's own, which knows better than a grammar what is wrong."""

    def __init__(self, parse: Callable[[str], object]) -> None:
        self._parse = parse

    def faults(self, data: bytes) -> list[Fault]:
        try:
            self._parse(data.decode())
        except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
            what = getattr(error, "msg", "") or str(error) or type(error).__name__
            return [(getattr(error, "lineno", None) or 1, what)]
        return []


PARSERS: dict[str, Callable[[str], object]] = {"ast": ast.parse, "json": json.loads, "toml": tomllib.loads}


def reader_of(dialect: str) -> Reader:
    return Exact(PARSERS[dialect]) if dialect in PARSERS else Grammar(dialect)


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


def main() -> None:
    sys.path.append(sys.argv[1])
    order = json.loads(sys.stdin.buffer.readline())
    readers = [reader_of(dialect) for dialect in order["dialects"]]
    confine(order["memory"], order["cpu_s"], bytes.fromhex(sys.stdin.buffer.readline().decode()))
    answer = json.dumps(faults(readers, sys.stdin.buffer.read()))
    os.write(1, answer.encode())
    # Nothing is tidied up: what a hostile text left behind in memory is not touched again.
    os._exit(0)


if __name__ == "__main__":
    main()
