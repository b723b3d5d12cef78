"""The emergency stop, from a page: everybody sees it at once, and the work goes on afterwards."""

import time

import pytest

from tests.browser import plays
from tests.timing import best_s

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(400)]

SEEN_WITHIN_S = 2


def test_a_stop_is_seen_everywhere_and_the_work_goes_on(office, visit):
    page, _ = visit("/agents/")
    other, _ = visit("/issues/DEMO-1/", who="viewer")
    other.locator("html[data-live=on]").wait_for()
    banner = other.locator("#stop-banner .banner", has_text="the coffee is out")

    def seen_s() -> float:
        office.call("DELETE", "stop/?scope=company")
        for each in (page.locator("#stop-banner .banner"), banner):
            each.wait_for(state="detached")
        page.get_by_role("link", name="Stop all").click()
        dialog = page.get_by_role("dialog", name="Stop all agents?")
        dialog.get_by_label("Why").fill("the coffee is out")
        dialog.get_by_role("button", name="Stop all agents").click()
        pressed = time.monotonic()
        banner.wait_for()
        return time.monotonic() - pressed

    try:
        assert best_s(seen_s, SEEN_WITHIN_S) < SEEN_WITHIN_S
        assert other.get_by_role("button", name="Resume").count() == 0, "a viewer may not"

        office.issues["stopped"] = office.file(plays.WAITING)
        office.begin("stopped")
        page.get_by_role("button", name="Resume", exact=True).first.click()
        page.locator("#stop-banner .banner").wait_for(state="detached")
        banner.wait_for(state="detached")
        office.wait_for_request("stopped", "plan")
    finally:
        office.call("DELETE", "stop/?scope=company")
