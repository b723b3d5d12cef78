"""Markdown of people and agents to HTML that cannot do anything: no raw HTML, then an allowlist."""

import re

import nh3
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markdown_it.token import Token

from mcc.core import highlight

TAGS = {
    "p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "ul", "ol", "li", "blockquote", "pre", "code", "em", "strong",
    "s", "a", "table", "thead", "tbody", "tr", "th", "td", "span", "del",
}  # fmt: skip
CLASS = re.compile(r"mention|p-[a-z0-9]{1,3}")
SCHEMES = {"http", "https", "mailto"}
MENTION = re.compile(r"(?<![\w@/.])@[a-z][a-z0-9_-]{0,59}")


def render(text: str) -> SafeString:
    """Return ``text`` as HTML from a small set of tags: no ids, no styles, no images, no scripts, no htmx attributes.

    Lines break where the writer broke them. Headings start at ``h3`` so that a message never outranks its page. Put
    it into ``<div class="prose" hx-ignore>``.
    """
    return SafeString(_clean(_parser.render(text)))


def _clean(html: str) -> str:
    return nh3.clean(
        html,
        tags=TAGS,
        attributes={"a": {"href", "title"}, "span": {"class"}, "ol": {"start"}},
        attribute_filter=_allow,
        url_schemes=SCHEMES,
        link_rel="noopener noreferrer nofollow",
    )


def _allow(tag: str, name: str, value: str) -> str | None:
    if name == "class" and not CLASS.fullmatch(value):
        return None
    return value


def _mentions(state: StateCore) -> None:
    """Mark ``@name`` in plain text (not in code, not in links)."""
    for block in state.tokens:
        if block.type == "inline" and block.children:
            block.children = [part for token in block.children for part in _marked(token)]


def _marked(token: Token) -> list[Token]:
    if token.type != "text" or "@" not in token.content:
        return [token]
    parts: list[Token] = []
    end = 0
    for match in MENTION.finditer(token.content):
        parts.append(_text(token.content[end : match.start()]))
        parts.append(Token("mention", "span", 0, content=match.group()))
        end = match.end()
    parts.append(_text(token.content[end:]))
    return parts


def _text(content: str) -> Token:
    return Token("text", "", 0, content=content)


def _lower_headings(state: StateCore) -> None:
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 2, 6)}"


def _build() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "highlight": _highlight})
    parser.enable(["table", "strikethrough"])
    parser.disable("image")
    parser.core.ruler.push("mentions", _mentions)
    parser.core.ruler.push("lower_headings", _lower_headings)
    parser.add_render_rule("mention", _render_mention)
    return parser


def _render_mention(renderer: object, tokens: list[Token], index: int, *_: object) -> str:
    return f'<span class="mention">{tokens[index].content}</span>'


def _highlight(source: str, language: str, _attributes: str) -> str:
    return str(highlight.code(source, language)) if language else ""


_parser = _build()
