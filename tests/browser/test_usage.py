"""The usage explorer in a browser: its rows are doors, and a phone shows what everything came to."""

import pytest

from projects.usage import GROUPINGS
from tests.browser.conftest import NARROW
from tests.browser.office import until

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(400)]

OVERFLOW = "document.documentElement.scrollWidth - innerWidth"
UNSEEN = """(selector) => [...document.querySelectorAll(selector)].filter((each) => {
  scrollBy(0, each.getBoundingClientRect().top - innerHeight / 2);
  const {left, right, top, bottom} = each.getBoundingClientRect();
  const [x, y] = [(left + right) / 2, (top + bottom) / 2];
  const seen = document.elementFromPoint(x, y);
  return left < 0 || right > innerWidth || !(each.contains(seen) || seen?.contains(each));
}).map((each) => each.outerHTML)"""
"""Returns what of the selected somebody cannot see whole who scrolls down, and never sideways."""
IN_VIEW = "(each) => each.getBoundingClientRect().bottom > 0 && each.getBoundingClientRect().top < innerHeight"
CELLS = {"when": 0, "outcome": 4, "cost": -1}


@pytest.mark.parametrize("cell", CELLS)
def test_a_click_anywhere_in_a_row_opens_the_message_that_it_paid_for(visit, cell):
    page, _ = visit("/budgets/usage/")
    row = page.locator("#calls tbody tr").filter(has=page.locator("a[data-row][href*='#message-']")).first
    address = row.locator("a[data-row]").get_attribute("href")

    row.locator("td").nth(CELLS[cell]).click(position={"x": 3, "y": 3})

    page.wait_for_url(f"**{address}")
    message = page.locator(f"#{address.partition('#')[2]}")
    message.wait_for()
    until(lambda: message.evaluate(IN_VIEW))


def test_a_click_on_a_row_of_the_last_calls_opens_its_message_too(visit):
    page, _ = visit("/budgets/")

    page.locator("tr:has(a[data-row][href^='/budgets/usage/'])").first.locator("td").last.click()

    page.wait_for_url("**/runs/**")


def test_another_link_of_the_row_leads_where_it_says(visit):
    page, _ = visit("/budgets/usage/")
    link = page.locator("#calls tbody tr:has(a[data-row]) a[href^='/issues/']").first
    address = link.get_attribute("href")

    link.click()

    page.wait_for_url(f"**{address}")


def test_a_phone_shows_all_sums_without_a_scroll_to_the_side(visit):
    page, _ = visit("/budgets/usage/", size=NARROW)
    for by in GROUPINGS:
        page.goto(f"/budgets/usage/?by={by}")
        rows = page.locator("#groups tbody tr").count()
        costs = page.locator("#groups :is(tbody, tfoot) tr > :last-child").all_inner_texts()

        assert page.evaluate(OVERFLOW) <= 0, by
        assert (rows > 0, len(costs)) == (True, rows + 1), by
        assert all(text.startswith("$") for text in costs), by
        shown = "[aria-label=Totals] .v, #groups .seg a, #groups :is(tbody, tfoot) tr > :is(th, :last-child)"
        assert page.evaluate(UNSEEN, shown) == [], by
