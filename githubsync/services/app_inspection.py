"""What an App may do and hears of: GitHub says so itself, of the App and of each place where it is installed."""

from collections.abc import Iterator, Sequence
from typing import Any

from githubsync import manifest
from githubsync.models import Connection, Installation
from githubsync.services import apps, tokens
from githubsync.services.findings import WRITE, Finding, Health, Verdict
from projects.forge import ForgeError

LEVELS = {"": 0, "read": 1, "write": 2}


def look(connection: Connection) -> Health:
    """Find out what the App of ``connection`` may do. Never raises."""
    facts: dict[str, Any] = {"kind": "GitHub App"}
    try:
        with tokens.as_app(connection) as client:
            about = client.get("/app")
            version = client.headers.get("x-github-enterprise-version", "")
        facts["login"] = f"{about['slug']}[bot]"
        facts["server"] = f"GitHub Enterprise Server {version}" if version else "GitHub"
        installations = apps.sync(connection)
        facts["tried_on"] = ", ".join(one.account for one in installations)
        facts["findings"] = tuple(_findings(connection, about, installations))
    except ForgeError as failure:
        return Health(**facts, problem=str(failure))
    return Health(**facts, problem=_problem(installations))


def _problem(installations: Sequence[Installation]) -> str:
    if not installations:
        return "The App is not installed anywhere yet: install it, and choose repositories."
    if all(one.suspended_at for one in installations):
        return f"The App is suspended for {', '.join(one.account for one in installations)}."
    return ""


def _findings(connection: Connection, about: dict[str, Any], places: Sequence[Installation]) -> Iterator[Finding]:
    for name, (level, why) in manifest.PERMISSIONS.items():
        verdict, detail = Verdict.YES, ""
        lacking = [one.account for one in places if LEVELS[one.permissions.get(name, "")] < LEVELS[level]]
        if LEVELS[about["permissions"].get(name, "")] < LEVELS[level]:
            verdict, detail = Verdict.NO, "Give it to the App, in its settings on GitHub."
        elif lacking:
            verdict, detail = Verdict.NO, f"To be accepted by {', '.join(lacking)}, where the App is installed."
        shown = WRITE if level == "write" else level
        yield Finding(manifest.title(name), shown, why, True, verdict, detail)
    yield _of_events(connection, about)
    for one in places:
        if one.suspended_at:
            yield Finding("Installation", one.account, "to work there", False, Verdict.NO, "Suspended on GitHub.")


def _of_events(connection: Connection, about: dict[str, Any]) -> Finding:
    missing = [event for event in manifest.EVENTS if event not in about["events"]]
    detail = f"Not subscribed to: {', '.join(missing)}." if missing else ""
    needed = hasattr(connection, "webhook")
    verdict = Verdict.NO if missing else Verdict.YES
    return Finding("Events", "webhook", "to hear of changes at once", needed, verdict, detail)
