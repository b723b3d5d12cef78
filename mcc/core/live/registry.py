"""What the apps bring to the live channel: how an event looks, and who may hear a stream."""

from collections.abc import Callable

from django.contrib.auth.models import AnonymousUser

from mcc.core.models import Event, User

Renderer = Callable[[Event], str]
Watcher = Callable[[User, str], bool]

_renderers: dict[str, Renderer] = {}
_watchers: dict[str, Watcher] = {}


def renderer(kind: str) -> Callable[[Renderer], Renderer]:
    """Register the function that turns an event of ``kind`` into HTML: ``f(event: Event) -> str``.

    The answer is a string of ``<hx-partial hx-target="#id" hx-swap="…">…</hx-partial>``, or "" for nothing
    to show. It is made once per process and sent to everybody on the stream, so nothing in it may depend on
    who is looking. ``event.stream.name`` and ``event.data`` are loaded; the function runs in a thread and
    may query.
    """

    def register(function: Renderer) -> Renderer:
        _renderers[kind] = function
        return function

    return register


def renderer_of(kind: str) -> Renderer | None:
    return _renderers.get(kind)


def watcher(prefix: str) -> Callable[[Watcher], Watcher]:
    """Register the function that says who may hear the streams ``prefix:<key>``: ``f(user, key: str) ->
    bool``.

    The stream ``company`` has prefix ``company`` and key "". Asked at connect and again while the socket is
    open.
    """

    def register(function: Watcher) -> Watcher:
        _watchers[prefix] = function
        return function

    return register


def may_hear(user: User | AnonymousUser, stream: str) -> bool:
    """Whether ``user`` may hear ``stream``. Nobody hears a stream that no watcher knows."""
    prefix, _, key = stream.partition(":")
    watches = _watchers.get(prefix)
    return bool(watches and isinstance(user, User) and user.is_active and watches(user, key))
