import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.office import Office
from tests.browser.watch import Watch

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
WIDE, NARROW = (1440, 900), (390, 844)

Visit = Callable[..., tuple[Page, Watch]]


# Both end with this directory: while the browser is there, its event loop counts as running, and others could not.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="package")
def office(browser) -> Iterator[Office]:
    """The company, at work. Started once for all tests of the browser."""
    # Not in pytest's own directory: the sandbox's user must reach it, and pytest shuts its own to others.
    home = Path(tempfile.mkdtemp(prefix="mcc-browser-"))
    home.chmod(0o711)
    office = Office(home)
    try:
        office.open()
        yield office
    finally:
        office.close()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def visit(browser, office) -> Iterator[Visit]:
    """Open an address in a browser of its own and return the page and its watch; at the end nothing may be wrong."""
    contexts: list[BrowserContext] = []
    watches: list[Watch] = []

    def visit(address: str, who="admin", theme="light", size=WIDE, statuses=(), **options) -> tuple[Page, Watch]:
        viewport = {"width": size[0], "height": size[1]}
        context = browser.new_context(viewport=viewport, color_scheme=theme, base_url=office.url, **options)
        contexts.append(context)
        context.set_default_timeout(20_000)
        cookies = {"sessionid": office.sessions.get(who, ""), "theme": theme}
        context.add_cookies(
            [{"name": name, "value": value, "url": office.url} for name, value in cookies.items() if value]
        )
        page = context.new_page()
        watch = Watch(page, f"127.0.0.1:{office.port}")
        watch.expected_status.update(statuses)
        watches.append(watch)
        page.goto(address)
        return page, watch

    yield visit
    wrongs = [wrong for watch in watches for wrong in watch.found()]
    for context in contexts:
        context.close()
    assert wrongs == []
