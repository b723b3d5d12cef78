"""What people and agents write is shown as what it is: text."""

import pytest

from tests.browser import plays

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(400)]

BAD_WORDS = ("stolen", "elsewhere.example", "owned")


def addresses(office) -> list[str]:
    pk = office.issues[plays.HOSTILE]["id"]
    run = office.row("select min(run_id) from projects_assignment where issue_id = ?", pk)
    tabs = [office.page(plays.HOSTILE, tab) for tab in ("", "timeline/", "cost/")]
    return [*tabs, f"/runs/{run}/", "/", "/inbox/", "/board/", "/projects/LAB/", "/search/?q=friends", "/agents/"]


def test_hostile_text_is_shown_and_asks_for_nothing(office, visit):
    page, watch = visit("/agents/coder-1/")
    for address in addresses(office):
        page.goto(address)
        page.evaluate("for (const fold of document.querySelectorAll('main details')) fold.open = true")
        assert (
            page.evaluate("document.querySelectorAll('main :is(script, style, iframe, [onerror], [onclick])').length")
            == 0
        )
        assert page.evaluate("document.querySelectorAll('main :is([href^=javascript], img[src*=\"//\"])').length") == 0
        assert "owned" not in page.title()
        assert watch.found() == [], address

    assert [url for url in watch.requests if any(word in url for word in BAD_WORDS)] == []


def test_hostile_text_can_be_read(office, visit):
    page, _ = visit(office.page(plays.HOSTILE))
    assert page.locator("main h1").inner_text() == plays.HOSTILE
    assert "hx-partial hx-target" in page.locator("#opening .prose").inner_text()
    pk = office.issues[plays.HOSTILE]["id"]
    run = office.row("select min(run_id) from projects_assignment where issue_id = ?", pk)
    page.goto(f"/runs/{run}/")
    output = page.locator("details.tool pre.out").last

    assert "<script>" in output.evaluate("e => e.textContent")
