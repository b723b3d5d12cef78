"""Which language a file is, by its name, and what reads it: grammars of tree-sitter, and parsers of Python's own.

The latter (ast, json, toml) say best what is wrong. Python of a later version than ours only its grammar knows.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final


@dataclass(frozen=True)
class Language:
    """``dialects`` are what may read a text; it is at fault when none of them can.

    ``is_strict``: they accept what the language allows, so that a fault is the author's. Those of the others stumble
    over macros, templates or rare constructs, so that a fault is worth a word and no more.
    """

    name: str
    dialects: tuple[str, ...]
    is_strict: bool = True


_BY_SUFFIX: Final[dict[str, Language]] = {
    suffix: language
    for language, suffixes in (
        (Language("Python", ("ast", "python")), "py pyi pyw"),
        (Language("JavaScript", ("javascript", "tsx")), "js jsx mjs cjs"),
        (Language("TypeScript", ("typescript",)), "ts mts cts"),
        (Language("TSX", ("tsx",)), "tsx"),
        (Language("JSON", ("json",)), "json"),
        (Language("TOML", ("toml",)), "toml"),
        (Language("YAML", ("yaml",)), "yaml yml"),
        (Language("Go", ("go",)), "go"),
        (Language("Rust", ("rust",)), "rs"),
        (Language("Java", ("java",)), "java"),
        (Language("Ruby", ("ruby",)), "rb rake gemspec"),
        (Language("PHP", ("php",)), "php"),
        (Language("CSS", ("css",), is_strict=False), "css"),
        (Language("C", ("c", "cpp"), is_strict=False), "c h"),
        (Language("C++", ("cpp",), is_strict=False), "cpp cc cxx hpp hh hxx ipp"),
        (Language("C#", ("c_sharp",), is_strict=False), "cs"),
        (Language("Kotlin", ("kotlin",), is_strict=False), "kt kts"),
        (Language("HTML", ("html",), is_strict=False), "html htm"),
        (Language("Bash", ("bash",), is_strict=False), "sh bash"),
    )
    for suffix in suffixes.split()
}
_BY_NAME: Final = {
    **dict.fromkeys(("Gemfile", "Rakefile"), _BY_SUFFIX["rb"]),
    **dict.fromkeys((".bashrc", ".bash_profile", ".profile"), _BY_SUFFIX["sh"]),
    **dict.fromkeys(("Pipfile", "Cargo.lock", "poetry.lock", "uv.lock"), _BY_SUFFIX["toml"]),
}
_WITH_COMMENTS: Final = (
    *("tsconfig", "jsconfig", "devcontainer", ".eslintrc", ".jshintrc", "api-extractor", "tslint", "turbo", "deno"),
    *("pyrightconfig", "nx.", "wrangler", "rush", ".markdownlint", "appsettings", ".renovaterc", "renovate"),
)
"""How files called ``.json`` begin that are JSON with comments, whose readers differ in what they allow."""


_TEMPLATED: Final = ("YAML", "JSON", "TOML", "CSS")
"""Languages that files are often written in for a template engine (Helm, Jinja, ERB), under their own names."""
_MARKS: Final = re.compile(r"(?<!\$)\{\{|\{%|<%")
"""What such engines replace. ``${{ }}``, of GitHub's workflows, stands inside of values."""


def is_strict_about(language: Language, text: str) -> bool:
    """Whether a fault in ``text`` is its author's for sure: its language is strict, and it is no template."""
    return language.is_strict and not (language.name in _TEMPLATED and _MARKS.search(text))


def of(path: str) -> Language | None:
    """Return the language of the file ``path`` by its name, or None when there is no grammar for it."""
    file = PurePosixPath(path)
    language = _BY_NAME.get(file.name) or _BY_SUFFIX.get(file.suffix.lstrip(".").lower())
    if language and language.name == "JSON" and (".vscode" in file.parts or file.name.startswith(_WITH_COMMENTS)):
        return None
    return language
