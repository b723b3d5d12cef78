"""Everything without a mouse."""

from contextlib import suppress

import pytest
from playwright.sync_api import TimeoutError

from tests.browser import plays

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(400)]


def test_the_skip_link_comes_first_and_leads_to_the_content(visit):
    page, _ = visit("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"

    page.keyboard.press("Enter")

    assert page.evaluate("document.activeElement.id") == "main"


def test_the_palette_filters_goes_and_gives_the_focus_back(visit):
    page, _ = visit("/agents/")
    link = page.locator("#agents a[data-row]").first
    link.focus()
    before = link.inner_text()
    page.keyboard.press("Control+k")
    options = page.locator("#palette [role=option]:visible")
    everything = options.count()
    page.keyboard.type("inb")
    page.locator("#palette [aria-selected=true]", has_text="Inbox").wait_for()
    assert 0 < options.count() < everything
    page.keyboard.press("Escape")
    page.locator("#palette").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.textContent") == before

    page.keyboard.press("Control+k")
    page.keyboard.type("inb")
    page.keyboard.press("Enter")

    page.wait_for_url("**/inbox/")


def test_the_palette_finds_issues(office, visit):
    page, _ = visit("/agents/")
    page.keyboard.press("Control+k")
    page.keyboard.type("goodb")
    page.locator("#pal-found [role=option]", has_text=plays.WAITING).wait_for()
    page.keyboard.press("Enter")

    page.wait_for_url(f"**{office.page(plays.WAITING)}")


def test_the_search_listens_as_soon_as_the_document_is_read(browser, office):
    """It began some time after the page had loaded; on a busy machine what was typed at once was not searched for."""
    page = browser.new_page(base_url=office.url)
    page.context.add_cookies([{"name": "sessionid", "value": office.sessions["admin"], "url": office.url}])
    listens = "document.querySelector('#palette [hx-get]').hasAttribute('data-htmx-powered')"
    page.add_init_script(f"addEventListener('DOMContentLoaded', () => {{ window.listens = {listens}; }})")

    page.goto("/agents/")

    assert page.evaluate("window.listens")
    page.close()


def go(page, key: str, address: str) -> None:
    """Type ``g`` and ``key``, again where the machine stood still in between: then they are no sequence."""
    for _ in range(3):
        page.keyboard.press("g")
        page.keyboard.press(key)
        with suppress(TimeoutError):
            page.wait_for_url(address, timeout=5_000)
            return
    page.wait_for_url(address)


def test_single_keys_help_go_and_file(office, visit):
    page, _ = visit("/agents/")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keys").wait_for()
    page.keyboard.press("Escape")
    page.locator("#keys").wait_for(state="hidden")
    go(page, "b", "**/board/")
    go(page, "d", f"{office.url}/")
    page.keyboard.press("c")
    page.wait_for_url("**/issues/new/")
    page.get_by_label("Title").fill("c ? g")

    assert page.url.endswith("/issues/new/")


def test_single_keys_can_be_switched_off(visit):
    page, _ = visit("/agents/")
    page.keyboard.press("?")
    page.get_by_label("Single keys are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    page.keyboard.press("Control+k")
    page.locator("#palette[open]").wait_for()

    assert page.url.endswith("/agents/")


def test_j_and_k_walk_through_the_rows(visit):
    page, _ = visit("/agents/")
    rows = page.locator("[data-row]").all_inner_texts()
    walked = []
    for key in "jjk":
        page.keyboard.press(key)
        walked.append(page.evaluate("document.activeElement.innerText"))

    assert walked == [rows[0], rows[1], rows[0]]


def test_a_approves_the_plan_on_the_page_of_the_issue(office, visit):
    office.issues["by key"] = office.file(plays.WAITING)
    office.begin("by key")
    office.wait_for_request("by key", "plan")
    page, _ = visit(office.page("by key"))
    page.keyboard.press("a")

    page.locator("article.request .answered").first.wait_for()
    [row] = office.rows(
        "select answer from projects_request where issue_id = ? and kind = 'plan'", office.issues["by key"]["id"]
    )
    assert row["answer"] == "approve"


def test_tab_leaves_the_conversation(office, visit):
    page, _ = visit("/issues/DEMO-1/")
    page.locator("#log").focus()
    stops = page.evaluate(
        "document.querySelectorAll('#log :is(a[href], button, input, textarea, summary, [tabindex=\"0\"])').length"
    )
    for _ in range(stops + 1):
        page.keyboard.press("Tab")
        if not page.evaluate("document.activeElement.closest('#log')"):
            break

    assert page.evaluate("document.activeElement.closest('.composer') !== null")


def test_stop_is_reached_and_taken_back_by_keys(visit):
    page, _ = visit("/agents/")
    page.keyboard.press("Control+k")
    page.keyboard.type("stop")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Stop all agents?")
    dialog.wait_for()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('dialog')?.id") == "stop"

    page.keyboard.press("Escape")

    dialog.wait_for(state="hidden")
    assert page.locator("#stop-banner .banner").count() == 0
