"""What the clock calls."""

import logging

from githubsync.services import catching_up, deliveries, outbox, polling, webhooks

logger = logging.getLogger(__name__)


def tell_what_waits() -> None:
    """Tell GitHub what a process that died left untold."""
    outbox.sweep()


def work_on_deliveries() -> None:
    """Let what GitHub delivered be worked on once more, where the last attempt failed or was cut off."""
    deliveries.sweep()


def poll() -> None:
    """Ask GitHub what happened, where it is time to."""
    polling.sweep()


def catch_up() -> None:
    """Fetch what GitHub delivered and never arrived, where it is time to look."""
    catching_up.sweep()


def catch_up_at_start() -> None:
    """Fetch what GitHub delivered while nobody was here."""
    catching_up.begin()


def purge_deliveries() -> None:
    """Delete what GitHub delivered long ago."""
    logger.info("%s old deliveries deleted", webhooks.purge())
