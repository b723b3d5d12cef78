"""Sign in with GitHub, by the real way through two sites: in a browser, with a GitHub beside the office."""

from urllib.parse import urlsplit

import pytest

from tests.browser import axe

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(400)]

BUTTON = "Sign in with GitHub"


@pytest.fixture
def login(office, visit):
    """Open the login page and press the button; return the page, which is GitHub's by then."""

    def login(address="/accounts/login/", **options):
        page, watch = visit(address, who="nobody", statuses=[403], **options)
        watch.others.add(urlsplit(office.hub.api).netloc)
        page.get_by_role("button", name=BUTTON).click()
        page.get_by_role("heading", name="Authorize").wait_for()
        return page

    return login


def test_who_is_invited_comes_in_to_where_they_wanted_to_go_and_disconnects_only_with_a_password(office, login):
    page = login("/agents/")
    page.get_by_role("button", name="Authorize as grace").click()
    page.wait_for_url(f"{office.url}/agents/")
    page.goto("/account/")
    page.get_by_role("heading", name="Connected as @grace").wait_for()
    assert page.get_by_role("button", name="Disconnect").count() == 0
    assert office.row("select username from core_user where username = ?", "grace") == "grace"

    page.get_by_role("link", name="Set a password").click()
    for field in page.locator("input[type=password]").all():
        field.fill("a long one for this once")
    page.get_by_role("button", name="Set password").click()
    page.goto("/account/")
    page.get_by_role("button", name="Disconnect").click()
    page.get_by_role("button", name="Connect", exact=True).click()
    page.get_by_role("button", name="Authorize as grace").click()
    page.get_by_role("heading", name="Connected as @grace").wait_for()


def test_a_stranger_is_told_so(office, login):
    page = login()
    page.get_by_role("button", name="Authorize as eve").click()
    page.get_by_role("heading", name="You are not invited yet").wait_for()

    assert "@eve" in page.locator("main").inner_text()
    assert axe.violations(page) == []
    assert page.goto("/").url.endswith("/accounts/login/?next=/")


def test_who_cancels_or_comes_back_twice_is_told_so_and_may_try_again(office, login):
    page = login()
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("heading", name="Not signed in").wait_for()
    assert axe.violations(page) == []
    page.reload()
    assert "was not asked for here" in page.locator("main").inner_text()

    page.get_by_role("button", name="Try again").click()
    page.get_by_role("button", name="Authorize as ada").click()
    page.wait_for_url(f"{office.url}/")
