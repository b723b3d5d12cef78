"""Every page, wide and narrow, light and dark: for everybody to read, within its policy and its screen."""

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
THEMES = ("light", "dark")
DRESSED = """(theme) => {
  document.documentElement.dataset.theme = theme;
  const changes = document.getAnimations().filter((each) => each instanceof CSSTransition);
  return Promise.allSettled(changes.map((each) => each.finished)).then(() => null);
}"""


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
        "/calls/lost/",
        "/budgets/usage/?by=issue&agent=coder-1",
        "/budgets/usage/?model=none",
        "/accounts/password/change/",
        "/search/?q=say",
        "/stop/",
        "/stop/?scope=agent:1",
        "/styleguide/",
        NOWHERE,
    ]


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_every_page_is_for_everybody(office, visit, size):
    page, watch = visit(LOGIN, who="nobody", size=size)
    wrongs = {LOGIN: wrongs_of(page, watch)}
    page, watch = visit("/", size=size, statuses=[404])
    page.add_init_script(axe.SOURCE)
    for address in addresses(office):
        dress(page, THEMES[0])
        answer = page.goto(address)
        assert answer.status == (404 if address == NOWHERE else 200), address
        wrongs[address] = wrongs_of(page, watch)

    assert {address: found for address, found in wrongs.items() if found} == {}


def wrongs_of(page, watch) -> list[str]:
    """Look at the page, loaded once, in the light and in the dark: what the server sends is the same but for a word."""
    found = []
    for theme in THEMES:
        dress(page, theme)
        # What a screen reader meets does not depend on the theme: in the dark only colours can be wrong.
        wrongs = axe.violations(page, only_colours=theme == "dark")
        wrongs += [f"wider than the screen by {over}" for over in [page.evaluate(OVERFLOW)] if over > 0]
        found += [f"{theme}: {wrong}" for wrong in wrongs]
    # Last, for it scrolls, and afterwards other parts of the page are in view.
    if page.viewport_size["width"] == NARROW[0]:
        found += [f"{theme}: {wrong}" for theme in THEMES for wrong in _wrongs_of_a_phone(page, theme)]
    return found + watch.found()


def dress(page, theme) -> None:
    """Switch the theme and wait until colours have changed for good."""
    page.emulate_media(color_scheme=theme)
    page.evaluate(DRESSED, theme)


def _wrongs_of_a_phone(page, theme) -> list[str]:
    dress(page, theme)
    size = page.viewport_size
    found = [f"under the bar: {part[:90]}" for part in page.evaluate(HIDDEN)]
    page.set_viewport_size({"width": 320, "height": size["height"]})
    found += [f"wider than 320 pixels by {over}" for over in [page.evaluate(OVERFLOW)] if over > 0]
    page.set_viewport_size(size)
    return found


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_what_is_wrong_in_one_theme_or_width_is_found_there(visit, size):
    page, watch = visit("/", size=size)
    page.route("**/people/", _with_wrong_parts)
    page.route(re.compile(r"/mcc\.[^/]*css$"), _with_wrong_rules)
    page.goto("/people/")

    found = wrongs_of(page, watch)

    planted = WRONG_EVERYWHERE | (WRONG_WHEN_NARROW if size == NARROW else {})
    known = {what: [theme for theme in THEMES if _is_in(found, theme, what)] for what in ALL_WRONGS}
    assert {what: themes for what, themes in known.items() if themes} == planted
    assert any(line.startswith("policy: ") for line in found)
    # A page that did not come from the network as it is may open no socket on this machine, if it gets to it in time.
    page.goto("about:blank")
    watch.forgive("WebSocket connection", "htmx:ws:error")


WRONG_PARTS = """<p class="p-light">Pale.</p><p class="p-dark">Dim.</p><p class="p-system">Dull.</p>
<button class="p-all"></button><button class="p-narrow"></button><div class="p-wide"></div><div class="p-phone"></div>
<div class="p-320"></div><a class="p-under" href="/">Under</a><script>1</script>"""
WRONG_RULES = """
[data-theme="light"] .p-light { color: #ddd; background: #fff }
[data-theme="dark"] .p-dark { color: #333; background: #000 }
@media (prefers-color-scheme: dark) { .p-system { color: #333; background: #000 } }
.p-narrow { display: none } @media (max-width: 640px) { .p-narrow { display: block } }
@media (min-width: 961px) { .p-wide { width: 3000px; height: 1px } }
@media (max-width: 640px) and (min-width: 381px) { .p-phone { width: 700px; height: 1px } }
@media (max-width: 380px) { .p-320 { width: 600px; height: 1px } }
@media (max-width: 640px) { .p-under { position: fixed; bottom: 0; left: 0 } }
"""
LIGHT, DARK, BOTH = ["light"], ["dark"], ["light", "dark"]
WRONG_EVERYWHERE = {
    "color-contrast: .p-light": LIGHT,
    "color-contrast: .p-dark": DARK,
    "color-contrast: .p-system": DARK,
    "button-name: .p-all": LIGHT,
    "wider than the screen": BOTH,
}
"""What is wrong with those parts, and in which themes it is found."""
WRONG_WHEN_NARROW = {
    "button-name: .p-narrow": LIGHT,
    "wider than 320 pixels": BOTH,
    'under the bar: <a class="p-under"': BOTH,
}
ALL_WRONGS = WRONG_EVERYWHERE | WRONG_WHEN_NARROW


def _is_in(found, theme, what) -> bool:
    return any(line.startswith(f"{theme}: {what}") for line in found)


def _with_wrong_parts(route) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text().replace("</main>", f"{WRONG_PARTS}</main>"))


def _with_wrong_rules(route) -> None:
    answer = route.fetch()
    route.fulfill(response=answer, body=answer.text() + WRONG_RULES)


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
