"""Who may only look, and who may not even that."""

import pytest

from tests.browser import plays

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(400)]

LISTEN = """(stream) => new Promise((resolve) => {
  const socket = new WebSocket(`ws://${location.host}/ws/?s=${stream}@0`);
  const heard = [];
  socket.onmessage = (event) => { heard.push(event.data); resolve('heard'); };
  socket.onclose = (event) => resolve(event.code);
  socket.onopen = () => heard.push('open');
})"""


def test_a_viewer_sees_everything_and_decides_nothing(office, visit):
    page, _ = visit(office.page(plays.WAITING), who="viewer")
    assert "Is this the right plan" in page.locator("article.request").inner_text()
    pull = office.row("select number from projects_pullrequest where issue_id = ?", office.issues[plays.READY]["id"])
    for address in (
        office.page(plays.WAITING),
        office.page(plays.DAY),
        f"/projects/LAB/pull-requests/{pull}/",
        "/inbox/",
    ):
        page.goto(address)
        deciding = page.locator("form[method=post]:not([data-theme-form])")
        assert deciding.count() == 0, address
        assert page.get_by_role("link", name="Stop all").count() == 0


def test_a_stranger_finds_nothing_and_hears_nothing(office, visit):
    page, watch = visit(office.page(plays.WAITING), who="stranger", statuses=[404, 403])
    assert "Nothing here" in page.locator("h1").inner_text()
    pk = office.issues[plays.WAITING]["id"]

    assert page.evaluate(LISTEN, f"issue:{pk}") != "heard"
    assert page.evaluate(LISTEN, "project:1") != "heard"
    watch.forgive("WebSocket connection")


def test_who_is_not_logged_in_hears_nothing(visit):
    page, watch = visit("/accounts/login/", who="nobody", statuses=[403])

    assert page.evaluate(LISTEN, "company") != "heard"
    watch.forgive("WebSocket connection")


def test_a_viewer_hears_what_is_said(office, visit):
    page, _ = visit("/", who="viewer")

    assert page.evaluate(LISTEN, f"issue:{office.issues[plays.WAITING]['id']}") == "heard"
