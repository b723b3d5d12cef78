"""An issue's page while agents work: what they say arrives by itself, and the reader stays where they are."""

import contextlib
import os
import signal
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser import plays
from tests.browser.office import until
from tests.journeys.company import children

pytestmark = [pytest.mark.browser, pytest.mark.sandbox, pytest.mark.timeout(400)]

SMALL = (1100, 620)
NOTE_GROWTH = """() => {
  window.grown = [];
  new MutationObserver(() => {
    for (const live of document.querySelectorAll('.streaming')) {
      const length = live.textContent.trim().length;
      if (length && window.grown.at(-1) !== length) window.grown.push(length);
    }
  }).observe(document.getElementById('log'), { childList: true, subtree: true, characterData: true });
}"""
SAID = """root => {
  const copy = root.cloneNode(true);
  for (const part of copy.querySelectorAll('time, form, .streaming, .earlier, .empty')) part.remove();
  return copy.innerText.split(/\\n/).map((line) => line.replace(/\\s+/g, ' ').trim()).filter(Boolean).join('\\n');
}"""
IDS = "log => [...log.querySelectorAll('.msg, .turn, .request')].map((each) => each.id)"
END = "() => Math.abs(innerHeight + scrollY - document.documentElement.scrollHeight) < 90"


def begin(office, visit, **options):
    """File an issue, open its page, and let somebody else start it."""
    issue = office.issues["live"] = office.file(plays.GREETING)
    page, watch = visit(office.page("live"), size=SMALL, **options)
    page.locator("html[data-live=on]").wait_for()
    page.evaluate(NOTE_GROWTH)
    office.begin("live")
    return issue, page, watch


def said(page, selector="#log") -> str:
    """Return what stands in the conversation, without the times that go on."""
    return page.locator(selector).evaluate(SAID)


def card(page, words):
    return page.locator("article.request", has_text=words)


def test_a_conversation_is_followed_and_steered_on_its_page(office, visit):
    issue, page, _ = begin(office, visit)

    question = card(page, "Which language")
    question.get_by_role("button", name="English").wait_for()
    grown = page.evaluate("window.grown")
    assert [length for length, before in zip(grown[1:], grown, strict=False) if length > before], "nothing streamed"
    tool = page.locator("#log details.tool").first
    tool.locator("summary").click()
    assert "Orbit" in tool.inner_text()
    expect(page.get_by_role("button", name="Start")).to_be_hidden()
    draft = page.get_by_label("Message")
    draft.fill("Mind the accents")
    other, _ = visit(office.page("live"))
    until(lambda: said(other) == said(page))

    # Answered in place, while the reader looks at the beginning and is in the middle of a sentence.
    page.mouse.wheel(0, -9_000)
    until(lambda: page.evaluate("scrollY") == 0)
    page.evaluate("window.here = document.getElementById('log')")
    office.call("POST", f"requests/{office.wait_for_request('live', 'question')['id']}/answer/", {"choice": "English"})
    pill = page.locator(".jump")
    pill.wait_for()
    expect(pill).to_contain_text("new")
    card(page, "Is this the right plan").get_by_role("button").first.wait_for()
    assert page.evaluate("scrollY") == 0
    assert tool.get_attribute("open") is not None
    assert (draft.input_value(), draft.evaluate("e => e === document.activeElement")) == ("Mind the accents", True)
    assert "English" in question.locator(".answered").inner_text()

    pill.click()
    until(lambda: page.evaluate(END))
    expect(pill).to_be_hidden()
    card(page, "Is this the right plan").get_by_role("button").first.click()
    card(page, "Is this the right plan").locator(".answered").wait_for()

    # To the merge, which happens on the page of the pull request.
    page.locator(".rail .ulink").first.wait_for()
    other.goto(page.locator(".rail .ulink").first.get_attribute("href"))
    card(other, "Merge").get_by_role("button").first.click()
    other.locator(".phead .tag", has_text="merged").wait_for()
    page.locator(".steps.st-done").wait_for()
    expect(page.locator("#working .working")).to_have_count(0)
    assert tool.get_attribute("open") is not None
    assert draft.input_value() == "Mind the accents"
    # What this reader may do is asked for when the issue has moved.
    expect(page.get_by_role("link", name="Pause")).to_be_hidden()
    for run in office.rows("select distinct run_id from projects_assignment where issue_id = ?", issue["id"]):
        steps = f"#run-{run[0]}-steps"
        other.goto(f"/runs/{run[0]}/")
        until(lambda: said(page, steps) == said(other, steps))  # noqa: B023 - asked in this turn of the loop only


def test_what_is_said_while_the_line_is_cut_arrives_exactly_once(office, visit):
    _, page, watch = begin(office, visit)
    page.locator(".msg.run").first.wait_for()

    with nobody_serves(office):
        page.locator(".livepill.lost").wait_for()
        asked = "select count(*) from projects_request where issue_id = ? and kind = 'question'"
        until(lambda: office.row(asked, office.issues["live"]["id"]))
    # The supervisor has to start another, and the page to find it.
    card(page, "Which language").get_by_role("button", name="English").wait_for(timeout=60_000)
    page.locator("html[data-live=on]").wait_for()
    expect(page.locator(".streaming:not(:empty)")).to_have_count(0)

    live, ids = said(page), page.locator("#log").evaluate(IDS)
    assert len(set(ids)) == len(ids)
    page.reload()
    assert page.locator("#log").evaluate(IDS) == ids
    assert said(page) == live
    watch.forgive("WebSocket connection", "htmx:ws:error", "Failed to fetch", "ERR_CONNECTION", "ERR_EMPTY_RESPONSE")


@contextlib.contextmanager
def nobody_serves(office) -> Iterator[None]:
    """Kill the process that serves pages and sockets, and keep the supervisor from starting it again for a while."""
    supervisor = int((office.home / "var" / "up.lock").read_text())
    [web] = [child for child in children(supervisor) if "daphne" in child.line]
    os.kill(supervisor, signal.SIGSTOP)
    try:
        os.kill(web.pid, signal.SIGKILL)
        yield
    finally:
        os.kill(supervisor, signal.SIGCONT)


def test_what_was_sent_leaves_the_composer_and_is_sent_once(office, visit):
    _, page, _ = begin(office, visit)
    draft = page.get_by_label("Message")
    draft.fill("Mind the tilde")
    draft.press("Enter")

    expect(draft).to_have_value("")
    page.reload()
    expect(page.get_by_label("Message")).to_have_value("")
    assert office.row("select count(*) from agents_message where content = ?", "Mind the tilde") == 1
