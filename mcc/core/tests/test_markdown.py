"""What people and agents write becomes text on our pages, and nothing else."""

import re

import pytest

from mcc.core import markdown

HOSTILE = [
    '<img src=x onerror="alert(1)">',
    "<script>alert(1)</script>",
    '<div hx-get="/stop/" hx-trigger="load">x</div>',
    '<hx-partial hx-target="#main">gone</hx-partial>',
    '<form action="/stop/" method="post"><button>ok</button></form>',
    "[click](javascript:alert(1))",
    "[click](JaVaScRiPt:alert(1))",
    "[click](data:text/html;base64,PHNjcmlwdD4=)",
    "![track](https://evil.example/pixel.png)",
    '<a href="https://x" style="position:fixed" data-hx-get="/stop/">x</a>',
    "<template><p>x</p></template>",
    '<svg onload="alert(1)"></svg>',
    '```"><script>alert(1)</script>\nx\n```',
    "<style>body{display:none}</style>",
    '[x](https://a.example "onmouseover=alert(1)")',
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<!--><script>alert(1)</script>-->",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text):
    html = markdown.render(text)

    assert set(re.findall(r"<\s*/?\s*([a-z0-9-]+)", html)) <= {"p", "a", "pre", "code", "span", "br"}
    assert not re.search(r"<[^>]*\s(on\w+|style|hx-\w+|data-\w+|id|src)\s*=", html)
    assert not re.search(r'href="(?!https?://)', html)


def test_links_go_out_without_a_referrer():
    assert markdown.render("[x](https://a.example)") == (
        '<p><a href="https://a.example" rel="noopener noreferrer nofollow">x</a></p>\n'
    )


def test_a_script_link_has_no_address():
    assert "href" not in markdown.render("[x](javascript:alert(1))")


def test_mentions_are_marked_in_text_but_not_in_code():
    html = markdown.render("ask @tester, not `@coder` or mail@host.example")

    assert html.count('class="mention"') == 1
    assert '<span class="mention">@tester</span>' in html


def test_a_hostile_mention_is_escaped():
    assert "<b>" not in markdown.render("@a<b>x</b>")


def test_headings_never_outrank_the_page():
    assert markdown.render("# Title").startswith("<h3>")
    assert markdown.render("###### deep").startswith("<h6>")


def test_code_blocks_are_coloured_by_class():
    html = markdown.render("```python\ndef f(): pass\n```")

    assert '<span class="p-k">def</span>' in html
    assert "style=" not in html


def test_only_our_classes_pass():
    assert markdown.render("```py stop\nx\n```").count("class=") == markdown.render("```py\nx\n```").count("class=")
    assert "language-" not in markdown.render("```no-such-language\nx\n```")


def test_tables_and_line_breaks_work():
    html = markdown.render("a\nb\n\n| x | y |\n|---|---|\n| 1 | 2 |")

    assert "a<br>" in html
    assert "<td>1</td>" in html
