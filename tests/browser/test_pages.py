"""Every page, light and dark, wide and narrow: for everybody to read, within its policy and its screen."""

import re

import pytest

from tests.browser import axe, plays
from tests.browser.conftest import NARROW, WIDE

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(600)]

NOWHERE = "/nowhere/"
LOGIN = "/accounts/login/"
HIDDEN = """() => {
  scrollTo(0, document.documentElement.scrollHeight);
  const bar = document.querySelector('.tabbar')?.getBoundingClientRect().top ?? innerHeight;
  const parts = [...document.querySelectorAll('main :is(a, button, input, textarea, p)')];
  return parts.filter((e) => e.checkVisibility() && e.getBoundingClientRect().bottom > bar + 1).map((e) => e.outerHTML);
}"""
OVERFLOW = "document.documentElement.scrollWidth - innerWidth"


def addresses(office) -> list[str]:
    pull = office.row("select number from projects_pullrequest where issue_id = ?", office.issues[plays.READY]["id"])
    run = office.row("select min(run_id) from projects_assignment where task_id is not null")
    setup = office.row("select min(id) from projects_setup where status = 'ready'")
    return [
        "/",
        "/inbox/",
        "/board/",
        *(f"/issues/DEMO-1/{tab}" for tab in ("", "details/", "changes/", "checks/", "cost/", "timeline/")),
        office.page(plays.DAY),
        office.page(plays.WAITING),
        office.page(plays.GREETING),
        "/pull-requests/?state=all",
        "/projects/DEMO/pull-requests/1/",
        f"/projects/LAB/pull-requests/{pull}/",
        f"/runs/{run}/",
        "/projects/DEMO/",
        "/projects/LAB/",
        "/projects/LAB/conventions/",
        "/projects/DEMO/settings/",
        "/projects/LAB/settings/",
        f"/projects/LAB/setups/{setup}/",
        "/projects/new/",
        "/issues/new/",
        "/agents/",
        "/agents/coder-1/",
        "/agents/new/",
        "/models/?state=all",
        "/models/1/",
        "/providers/",
        "/providers/1/",
        "/providers/new/",
        "/connections/",
        f"/connections/{office.github['token']}/",
        f"/connections/{office.github['app']}/",
        office.github["unmade"],
        f"/connections/{office.github['app']}/deliveries/",
        "/people/",
        "/account/",
        f"/account/github/{office.github['identity']}/",
        f"/projects/new/github/{office.github['token']}/{office.github['free']}/",
        "/projects/HUB/github/",
        "/projects/HUB/github/import/",
        "/projects/HUB/github/triggers/",
        "/connections/new/",
        "/connections/new/app/",
        "/projects/new/github/",
        "/budgets/",
        "/budgets/1/",
        "/budgets/usage/",
        "/budgets/usage/?by=issue&agent=coder-1",
        "/budgets/usage/?model=none",
        "/accounts/password/change/",
        "/search/?q=say",
        "/stop/",
        "/stop/?scope=agent:1",
        "/styleguide/",
        NOWHERE,
    ]


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_for_everybody(office, visit, theme, size):
    page, watch = visit(LOGIN, who="nobody", theme=theme, size=size)
    wrongs = {LOGIN: wrongs_of(page, watch, theme)}
    page, watch = visit("/", theme=theme, size=size, statuses=[404])
    page.add_init_script(axe.SOURCE)
    for address in addresses(office):
        answer = page.goto(address)
        assert answer.status == (404 if address == NOWHERE else 200), address
        wrongs[address] = wrongs_of(page, watch, theme)

    assert {address: found for address, found in wrongs.items() if found} == {}


def wrongs_of(page, watch, theme) -> list[str]:
    # What a screen reader meets does not depend on the theme: in the dark only colours can be wrong.
    found = axe.violations(page, only_colours=theme == "dark")
    found += [f"wider than the screen by {over}" for over in [page.evaluate(OVERFLOW)] if over > 0]
    size = page.viewport_size
    if size["width"] == NARROW[0]:
        found += [f"under the bar: {part[:90]}" for part in page.evaluate(HIDDEN)]
        page.set_viewport_size({"width": 320, "height": size["height"]})
        found += [f"wider than 320 pixels by {over}" for over in [page.evaluate(OVERFLOW)] if over > 0]
        page.set_viewport_size(size)
    return found + watch.found()


@pytest.mark.parametrize("dialog", ["palette", "keys", "stop", "pause"])
def test_dialogs_are_for_everybody(visit, dialog):
    page, _ = visit("/agents/coder-1/")
    keys = {"palette": "Control+k", "keys": "?"}
    links = {"stop": "Stop all", "pause": "Pause"}
    if dialog in keys:
        page.keyboard.press(keys[dialog])
    else:
        page.get_by_role("link", name=links[dialog]).click()
    if dialog == "pause":
        page.get_by_role("heading", name="Pause coder-1?").wait_for()
        assert page.evaluate("document.activeElement.name") == "reason"
    page.locator(f"dialog#{dialog}[open]").wait_for()

    assert axe.violations(page) == []


def test_a_refused_form_is_for_everybody(visit):
    page, _ = visit("/projects/new/", statuses=[422])
    page.get_by_label("Name", exact=True).fill("Nothing")
    page.get_by_role("textbox", name="Key").fill("not a key")
    page.get_by_label(re.compile("^Repository")).fill("/nowhere/at/all.git")
    page.get_by_role("button", name=re.compile("^(Create|New|Found|Add)")).click()
    page.locator(".field.bad").first.wait_for()

    assert axe.violations(page) == []


def test_an_unfolded_tool_call_is_for_everybody(visit):
    page, _ = visit("/issues/DEMO-1/")
    page.evaluate("for (const fold of document.querySelectorAll('#log details')) fold.open = true")

    assert axe.violations(page) == []
