"""The live channel: what happens is a row first (an event with a gapless number per stream), then a wake-up
call.

Apps ``publish`` inside their transactions and register in ``AppConfig.ready()`` how events look
(``renderer``), what follows from them (``state``) and who may hear which streams (``watcher``). The hub of
each web process reads the rows and feeds the open sockets.
"""

from mcc.core.live.publishing import address, position, publish, publish_many, recheck
from mcc.core.live.registry import may_hear, renderer, state, watcher

__all__ = ["address", "may_hear", "position", "publish", "publish_many", "recheck", "renderer", "state", "watcher"]
