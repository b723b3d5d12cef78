"""What the words mean that GitHub has for how a check run ended, and for a commit status."""

from typing import Final

from projects.models import OutsideCheck

State = OutsideCheck.State

CONCLUSIONS: Final = {
    "success": State.GREEN,
    "neutral": State.GREEN,
    "skipped": State.GREEN,
    "failure": State.RED,
    "timed_out": State.RED,
    "startup_failure": State.RED,
}
"""Cancelled, stale and "action required" are none of these: no change to the code mends them, they wait for people."""
STATUSES: Final = {"success": State.GREEN, "failure": State.RED, "error": State.RED}
