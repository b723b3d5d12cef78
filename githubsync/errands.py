"""Slow work with GitHub, carried out under a lease by the worker processes."""

from githubsync.services import catching_up, deliveries, linking, outbox, polling, reconciling, repositories
from mcc.core.errands import handler

handler(linking.CLONE_ERRAND)(linking.clone)
handler(outbox.ERRAND)(outbox.tell)
handler(deliveries.ERRAND)(deliveries.work)
handler(polling.ERRAND)(polling.work)
handler(repositories.ERRAND)(reconciling.look_again)
handler(catching_up.ERRAND)(catching_up.work)
