"""Light, dark, and without movement."""

import pytest

from tests.browser import plays

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(400)]

GROUND = "getComputedStyle(document.documentElement).backgroundColor"
SCHEME = "getComputedStyle(document.documentElement).colorScheme"
MOVING = "document.getAnimations().filter((each) => each.playState === 'running').length"


def test_the_cookie_makes_the_first_byte_dark(office, visit):
    page, _ = visit("/", theme="dark")
    html = page.request.get(f"{office.url}/").text()

    assert '<html lang="en" data-theme="dark">' in html[:200]
    assert page.evaluate(SCHEME) == "dark"


def test_the_theme_is_switched_without_a_reload_and_remembered(visit):
    page, _ = visit("/", theme="light")
    page.evaluate("window.here = true")
    light = page.evaluate(GROUND)
    page.get_by_role("button", name="Switch between light and dark").click()
    page.locator("html[data-theme=dark]").wait_for()
    dark = page.evaluate(GROUND)
    assert page.evaluate("window.here") is True
    page.reload()

    assert (page.evaluate(GROUND), light != dark) == (dark, True)


@pytest.mark.parametrize("address", ["/", "day"])
def test_nothing_moves_for_those_who_asked_for_calm(office, visit, address):
    address = office.page(plays.DAY) if address == "day" else address
    page, _ = visit(address, reduced_motion="reduce")
    page.locator(".dot.live").first.wait_for(state="attached")

    assert page.evaluate(MOVING) == 0
