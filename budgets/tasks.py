"""Jobs of the ledger; the schedules call them."""

import logging
from datetime import timedelta

from django.utils import timezone

from budgets import audit
from budgets.services import rollups

logger = logging.getLogger(__name__)

MOST_BATCHES = 20
RECOUNTED = timedelta(days=2)


def fold() -> None:
    """Add new postings to the sums that pages read."""
    for _ in range(MOST_BATCHES):
        if rollups.fold() < rollups.BATCH:
            return


def recount() -> None:
    """Hold the books of the last days against their lines. A difference is an incident: somebody must look."""
    for difference in audit.differences(since=timezone.now() - RECOUNTED):
        logger.error("the books are wrong: %s", difference)
