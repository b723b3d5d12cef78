"""What a page must never do, noted while it does it."""

from urllib.parse import urlsplit

from playwright.sync_api import ConsoleMessage, Page, Request, Response

VIOLATIONS = (
    "document.addEventListener('securitypolicyviolation', (e) => { (window.broken ??= []).push(e.violatedDirective); })"
)
IGNORED_FAILURES = {"net::ERR_ABORTED"}
"""The reader went to another page."""


class Watch:
    """``wrongs`` of a page: what its console says, breaches of the policy, requests that failed or went elsewhere."""

    def __init__(self, page: Page, host: str) -> None:
        self.host = host
        self.page = page
        self.wrongs: list[str] = []
        self.requests: list[str] = []
        self.expected_status: set[int] = set()
        self.others: set[str] = set()
        """Hosts that the page may send the browser to."""
        page.add_init_script(VIOLATIONS)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self.wrongs.append(f"error: {error}"))
        page.on("request", self._asked)
        page.on("response", self._answered)
        page.on("requestfailed", self._failed)

    def found(self) -> list[str]:
        """Return what went wrong since the last time, and forget it."""
        wrongs, self.wrongs = self.wrongs, []
        broken = self.page.evaluate("const broken = window.broken ?? []; window.broken = []; broken")
        return wrongs + [f"policy: {directive}" for directive in broken]

    def forgive(self, *words: str) -> None:
        """Forget what was wrong by one of these words: the test did it."""
        self.wrongs = [wrong for wrong in self.wrongs if not any(word in wrong for word in words)]

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type not in ("error", "warning"):
            return
        if any(f"status of {status}" in message.text for status in self.expected_status):
            return
        self.wrongs.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        self.requests.append(request.url)
        if urlsplit(request.url).netloc not in {self.host, *self.others}:
            self.wrongs.append(f"asked elsewhere: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected_status:
            self.wrongs.append(f"{response.status}: {response.url}")

    def _failed(self, request: Request) -> None:
        if request.failure not in IGNORED_FAILURES:
            self.wrongs.append(f"failed: {request.url} {request.failure}")
