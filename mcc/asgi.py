"""The web process: HTTP through Django, WebSockets through Channels."""

import os
from collections.abc import Awaitable, Callable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcc.settings")

import django

django.setup(set_prefix=False)

# These need the apps, which the line above loads.
from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import get_resolver, path, re_path

from githubsync.endpoint import Deliveries
from githubsync.services.webhooks import MAX_BODY_BYTES
from mcc.core import checkpoints, garbage
from mcc.core.bounded import Bounded
from mcc.core.live.consumer import LiveConsumer
from mcc.core.page_threads import Pages, PageThreads


async def no_such_socket(
    scope: dict[str, object],
    receive: Callable[[], Awaitable[dict[str, object]]],
    send: Callable[[dict[str, object]], Awaitable[None]],
) -> None:
    """Refuse the handshake; without it an unknown address is a traceback in the log."""
    await receive()
    await send({"type": "websocket.close", "code": 4404})


checkpoints.keep()

sockets = URLRouter([path("ws/", LiveConsumer.as_asgi()), re_path("", no_such_socket)])  # type: ignore[arg-type]

http = Bounded(Deliveries(PageThreads(Pages())), "/webhooks/", MAX_BODY_BYTES)

# A browser names the page's origin; a page from elsewhere, and a program that names none, get no socket.
application = ProtocolTypeRouter({"http": http, "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(sockets))})

# The first request would import all views: before, they are spared too.
_ = get_resolver().url_patterns
garbage.spare_imports()
