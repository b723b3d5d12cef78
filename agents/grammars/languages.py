"""Which language a file is, by its name, and what reads it: grammars of tree-sitter, and parsers of Python's own.

The latter (ast, json, toml) say best what is wrong. Python of a later version than ours only its grammar knows.
Of JSON and TOML there is more than every reader of them takes: comments and last commas, and TOML 1.1.
"""

import re
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath
from typing import Final


class Doubt(Enum):
    """What may still be said for a text that does not parse."""

    NONE = "what reads it knows all of the language"
    LATER_VERSION = "its grammar, which learns later than the language what is new"
    UNSURE = "macros, templates and the like, over which its grammar stumbles"


@dataclass(frozen=True)
class Language:
    """``dialects`` are what may read a text; it is at fault when none of them can.

    ``wider`` is what reads a text, called ``wider_name``, that a project's own reader of the language may take or not.
    """

    name: str
    dialects: tuple[str, ...]
    doubt: Doubt = Doubt.LATER_VERSION
    wider: tuple[str, ...] = ()
    wider_name: str = ""


_BY_SUFFIX: Final[dict[str, Language]] = {
    suffix: language
    for language, suffixes in (
        (Language("Python", ("ast", "python"), Doubt.NONE), "py pyi pyw"),
        (Language("JavaScript", ("javascript", "tsx")), "js jsx mjs cjs"),
        (Language("TypeScript", ("typescript",)), "ts mts cts"),
        (Language("TSX", ("tsx",)), "tsx"),
        (Language("JSON", ("json",), Doubt.NONE, ("commented_json",), "JSON with comments"), "json"),
        (Language("TOML", ("toml",), Doubt.NONE, ("toml_1_1",), "TOML 1.1"), "toml"),
        (Language("YAML", ("yaml",), Doubt.NONE), "yaml yml"),
        (Language("Go", ("go",)), "go"),
        (Language("Rust", ("rust",)), "rs"),
        (Language("Java", ("java",)), "java"),
        (Language("Ruby", ("ruby",)), "rb rake gemspec"),
        (Language("PHP", ("php",)), "php"),
        (Language("CSS", ("css",), Doubt.UNSURE), "css"),
        (Language("C", ("c", "cpp"), Doubt.UNSURE), "c h"),
        (Language("C++", ("cpp",), Doubt.UNSURE), "cpp cc cxx hpp hh hxx ipp"),
        (Language("C#", ("c_sharp",), Doubt.UNSURE), "cs"),
        (Language("Kotlin", ("kotlin",), Doubt.UNSURE), "kt kts"),
        (Language("HTML", ("html",), Doubt.UNSURE), "html htm"),
        (Language("Bash", ("bash",), Doubt.UNSURE), "sh bash"),
    )
    for suffix in suffixes.split()
}
_BY_NAME: Final = {
    **dict.fromkeys(("package.json", "package-lock.json", "composer.json"), Language("JSON", ("json",), Doubt.NONE)),
    **dict.fromkeys(("Gemfile", "Rakefile"), _BY_SUFFIX["rb"]),
    **dict.fromkeys((".bashrc", ".bash_profile", ".profile"), _BY_SUFFIX["sh"]),
    **dict.fromkeys(("Pipfile", "Cargo.lock", "poetry.lock", "uv.lock"), _BY_SUFFIX["toml"]),
}
_WITH_COMMENTS: Final = frozenset(
    {
        *(".babelrc", ".eslintrc", ".jshintrc", ".markdownlint", ".markdownlint-cli2", ".renovaterc", ".swcrc"),
        *("angular", "api-extractor", "appsettings", "cspell", "deno", "devcontainer", "jsconfig", "nx", "renovate"),
        *("language-configuration", "pyrightconfig", "rush", "tsconfig", "tslint", "turbo", "typedoc", "wrangler"),
    }
)
"""What files called ``.json`` are called until their first dot that are JSON with comments, whose readers differ in
what they allow. TypeScript's go on behind a hyphen as well."""
_STEM: Final = re.compile(r"\.?[^.]*")
_WITH_COMMENTS_INSIDE: Final = re.compile(r"(?:^|/)(?:\.vscode|config/rush)/")
"""Directories whose files are such."""

_TEMPLATED: Final = ("YAML", "JSON", "TOML", "CSS")
"""Languages that files are often written in for a template engine (Helm, Jinja, ERB), under their own names."""
_MARKS: Final = re.compile(r"(?<!\$)\{\{|\{%|<%")
"""What such engines replace. ``${{ }}``, of GitHub's workflows, stands inside of values."""
_AT_A_LOSS: Final = re.compile(r"invalid syntax|expected '")
"""How Python's own parser begins to say that a text goes on otherwise than it knows, as one for a later Python does.
What it says beside that (of brackets, quotes, indentation) holds for every version."""


def doubt(language: Language, text: str, what: str) -> Doubt:
    """Return what may be said for ``text``, of which ``what`` was found."""
    if language.name in _TEMPLATED and _MARKS.search(text):
        return Doubt.UNSURE
    if language.name == "Python" and _AT_A_LOSS.match(what):
        return Doubt.LATER_VERSION
    return language.doubt


def of(path: str) -> Language | None:
    """Return the language of the file ``path`` by its name, or None when there is no grammar for it."""
    file = PurePosixPath(path)
    language = _BY_NAME.get(file.name) or _BY_SUFFIX.get(file.suffix.lstrip(".").lower())
    if language and language.name == "JSON" and _may_have_comments(file):
        return None
    return language


def _may_have_comments(file: PurePosixPath) -> bool:
    stem = (_STEM.match(file.name) or [""])[0]
    is_known = stem in _WITH_COMMENTS or stem.startswith("tsconfig-")
    return is_known or bool(_WITH_COMMENTS_INSIDE.search(str(file)))
