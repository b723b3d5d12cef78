"""What the apps bring to the live channel: how an event looks, what follows from events, who may hear a stream."""

from collections.abc import Callable, Iterable

from django.contrib.auth.models import AnonymousUser

from mcc.core.models import Event, User

Renderer = Callable[[Event], str]
Watcher = Callable[[User, str], bool]
Drawer = Callable[[str], str]

_renderers: dict[str, Renderer] = {}
_quick: set[str] = set()
_drawers: dict[str, tuple[Drawer, frozenset[str]]] = {}
_watchers: dict[str, Watcher] = {}


def renderer(kind: str, *, quick: bool = False) -> Callable[[Renderer], Renderer]:
    """Register the function that turns an event of ``kind`` into HTML: ``f(event: Event) -> str``.

    The answer is a string of ``<hx-partial hx-target="#id" hx-swap="…">…</hx-partial>``, or "" for nothing
    to show. It is made once per process and sent to everybody on the stream, so nothing in it may depend on
    who is looking. ``event.stream.name`` and ``event.data`` are loaded; the function runs in a thread and
    may query. ``quick``: it queries nothing, so it need not wait for what other streams have drawn.
    """

    def register(function: Renderer) -> Renderer:
        _renderers[kind] = function
        if quick:
            _quick.add(kind)
        return function

    return register


def renderer_of(kind: str) -> Renderer | None:
    return _renderers.get(kind)


def is_quick(kind: str) -> bool:
    return kind in _quick or kind not in _renderers


def state(prefix: str, *, after: Iterable[str]) -> Callable[[Drawer], Drawer]:
    """Register the function that draws how things stand on the streams ``prefix:<key>``: ``f(key: str) -> str``.

    What no single event says belongs here: bars, counts, sums. It is drawn after events of the kinds ``after``, when
    what is being written right now has passed, once for several of them, and for everybody who was brought up to date;
    so it must say how things are now, whatever the events said.
    """

    def register(function: Drawer) -> Drawer:
        _drawers[prefix] = function, frozenset(after)
        return function

    return register


def state_of(stream: str) -> str:
    """Return how things stand on ``stream``, or "" if nobody draws that."""
    prefix, _, key = stream.partition(":")
    return _drawers[prefix][0](key) if prefix in _drawers else ""


def has_state(stream: str) -> bool:
    return stream.partition(":")[0] in _drawers


def changes_state(stream: str, kind: str) -> bool:
    """Whether an event of ``kind`` on ``stream`` calls for its state to be drawn again."""
    prefix = stream.partition(":")[0]
    return prefix in _drawers and kind in _drawers[prefix][1]


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
