"""What a GitHub App of Mission Control may do and hears of, and the manifest that asks GitHub for exactly that.

https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

from typing import Any, Final
from urllib.parse import urlsplit

from projects.git.remote import LOOPBACK

PERMISSIONS: Final = {
    "metadata": ("read", "to find repositories"),
    "contents": ("write", "to clone, to push branches, to merge"),
    "pull_requests": ("write", "to open and update them"),
    "issues": ("write", "to import them and to close what is done"),
    "checks": ("write", "to show checks and votes, and to see what CI says"),
    "statuses": ("read", "to see what CI says"),
    "actions": ("read", "to read why CI failed"),
}
"""Name to level and why."""
_TITLES: Final = {"statuses": "Commit statuses"}
EVENTS: Final = (
    "check_run",
    "check_suite",
    "create",
    "delete",
    "issue_comment",
    "issues",
    "label",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "push",
    "repository",
    "status",
    "workflow_run",
)
"""GitHub tells an App of its installations unasked."""


def levels() -> dict[str, str]:
    return {name: level for name, (level, _) in PERMISSIONS.items()}


def title(permission: str) -> str:
    """Return what GitHub's pages call a permission."""
    return _TITLES.get(permission, permission.replace("_", " ").capitalize())


def manifest(*, name: str, home: str, redirect: str, setup: str, hook: str, callback: str) -> dict[str, Any]:
    """Return the manifest of a new App. The addresses are absolute and ours; ``hook`` "": it is to hear of nothing."""
    wanted: dict[str, Any] = {
        "name": name,
        "url": home,
        "redirect_url": redirect,
        "setup_url": setup,
        "callback_urls": [callback],
        "setup_on_update": True,
        "public": False,
        "default_permissions": levels(),
    }
    if hook:
        wanted |= {"hook_attributes": {"url": hook, "active": True}, "default_events": list(EVENTS)}
    return wanted


def reaches(github: str, hook: str) -> bool:
    """Whether the GitHub at ``github`` could reach the address ``hook``. It refuses to make a hook otherwise.

    Those of this machine can be reached by a GitHub that is there too, and by no other.
    """
    return urlsplit(hook).hostname not in LOOPBACK or urlsplit(github).hostname in LOOPBACK
