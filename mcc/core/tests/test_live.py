"""Events reach those who may hear them: once, in order, also after a break, through every transport."""

import asyncio
import time
from itertools import count
from statistics import median

import pytest
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from django.contrib.sessions.models import Session
from django.db import connection, transaction
from django.test import Client, override_settings

from mcc.asgi import application
from mcc.core import live, tasks
from mcc.core.live import consumer, hub
from mcc.core.models import Event, Stream, User

pytestmark = pytest.mark.django_db(transaction=True)

ORIGIN = (b"origin", b"http://127.0.0.1")
PATIENCE_S = 20
rendered: list[int] = []


@live.watcher("test")
def watch(user: User, key: str) -> bool:
    """Everybody hears what is named like them, and what is everybody's."""
    return key == "all" or user.first_name == key


@live.renderer("test.note")
def render(event: Event) -> str:
    rendered.append(event.seq)
    return f"<hx-partial hx-target='#log'>{event.data['text']}</hx-partial>"


@live.renderer("test.broken")
def fail(event: Event) -> str:
    raise ValueError("this event cannot be shown")


@pytest.fixture
async def cookie():
    _, key = await log_in("ada")
    yield key
    await hub.hub().close()


@database_sync_to_async
def log_in(name: str) -> tuple[User, str]:
    user, _ = User.objects.get_or_create(username=name, defaults={"first_name": name})
    client = Client()
    client.force_login(user)
    return user, f"sessionid={client.cookies['sessionid'].value}"


publish = database_sync_to_async(live.publish)
publish_many = database_sync_to_async(live.publish_many)


@database_sync_to_async
def publish_notes(stream: str, numbers: range, size: int = 0) -> None:
    live.publish_many((stream, "test.note", {"text": str(number).ljust(size, ".")}) for number in numbers)


class Page(WebsocketCommunicator):
    """One that waits for as long as a busy machine may take: a second, as usual, is too little."""

    async def connect(self, timeout: float = PATIENCE_S) -> tuple[bool, int | str | None]:
        return await super().connect(timeout)

    async def receive_output(self, timeout: float = PATIENCE_S) -> dict:
        return await super().receive_output(timeout)

    async def receive_json_from(self, timeout: float = PATIENCE_S) -> dict:
        return await super().receive_json_from(timeout)

    async def disconnect(self, code: int = 1000, timeout: float = PATIENCE_S) -> None:
        await super().disconnect(code, timeout)


def socket(address: str, cookie: str, *headers: tuple[bytes, bytes]) -> Page:
    sent = headers or (ORIGIN,)
    return Page(application, f"/ws/?{address}", headers=[(b"cookie", cookie.encode()), *sent])


async def opened(address: str, cookie: str) -> Page:
    page = socket(address, cookie)
    connected, _ = await page.connect()
    assert connected
    return page


async def numbers(page: Page, count: int, *, stream: str | None = None) -> list[int]:
    messages = [await page.receive_json_from() for _ in range(count)]
    assert stream is None or {message["stream"] for message in messages} == {stream}
    return [message["seq"] for message in messages]


async def test_a_socket_replays_what_was_missed_and_goes_on_live(cookie):
    await publish_notes("test:all", range(5))
    page = await opened("s=test:all@2", cookie)

    missed = await numbers(page, 3)
    await publish("test:all", "test.note", {"text": "now"})
    message = await page.receive_json_from()

    assert missed == [3, 4, 5]
    assert message == {
        "stream": "test:all",
        "seq": 6,
        "kind": "test.note",
        "content": "<hx-partial hx-target='#log'>now</hx-partial>",
    }
    await page.disconnect()


async def test_without_a_number_a_socket_hears_from_now_on(cookie):
    await publish_notes("test:all", range(5))
    page = await opened("s=test:all", cookie)
    assert await page.receive_nothing(timeout=0.3)

    await publish_notes("test:all", range(1))

    assert await numbers(page, 1) == [6]
    await page.disconnect()


async def test_one_socket_carries_several_streams_each_with_its_own_numbers(cookie):
    page = await opened("s=test:all@0&s=test:ada@0", cookie)

    await publish_notes("test:all", range(2))
    await publish_notes("test:ada", range(2))

    heard = [await page.receive_json_from() for _ in range(4)]
    assert sorted((message["stream"], message["seq"]) for message in heard) == [
        ("test:ada", 1), ("test:ada", 2), ("test:all", 1), ("test:all", 2),
    ]  # fmt: skip
    await page.disconnect()


async def test_an_event_is_rendered_once_for_all_sockets(cookie):
    pages = [await opened("s=test:all@0", cookie) for _ in range(5)]
    rendered.clear()

    await publish_notes("test:all", range(3))

    assert [await numbers(page, 3) for page in pages] == [[1, 2, 3]] * 5
    assert sorted(rendered) == [1, 2, 3]
    for page in pages:
        await page.disconnect()


async def test_an_event_that_cannot_be_shown_does_not_silence_the_stream(cookie, caplog):
    page = await opened("s=test:all@0", cookie)

    await publish("test:all", "test.broken", {})
    await publish("test:all", "test.unknown", {})
    await publish("test:all", "test.note", {"text": "after"})

    messages = [await page.receive_json_from() for _ in range(3)]
    assert ["content" in message for message in messages] == [False, False, True]
    assert "cannot be shown" in caplog.text
    await page.disconnect()


drawings = count()


def kept_busy(seconds: float) -> None:
    """Take the thread as long as a page that is drawn: what else is to be drawn on it has to wait."""
    next(drawings)
    time.sleep(seconds)


@live.renderer("test.page")
def draw_page(event: Event) -> str:
    kept_busy(0.1)
    return f"<hx-partial hx-target='#page'>{event.seq}</hx-partial>"


@live.renderer("test.word", quick=True)
def draw_word(event: Event) -> str:
    return f"<hx-partial hx-target='#said'>{event.data['text']}</hx-partial>"


drawn: list[str] = []


@live.watcher("board")
def watch_board(user: User, key: str) -> bool:
    return True


@live.state("board", after=["test.page", "test.broken"])
def draw_board(key: str) -> str:
    drawn.append(key)
    kept_busy(0.1)
    return f"<hx-partial hx-target='#board'>{live.position(f'board:{key}')}</hx-partial>"


async def heard_until_state(page: Page, seq: int) -> list[dict]:
    """Return what came, up to and with the state as it is after event ``seq``."""
    messages = []
    while not messages or (messages[-1]["kind"], messages[-1].get("seq")) != ("state", seq):
        messages.append(await page.receive_json_from())
    return messages


async def test_what_many_streams_have_drawn_does_not_hold_up_what_is_being_written(cookie):
    """Twenty streams have forty drawings to do; each word of another one waits for one when it is read, and for one
    when it is drawn itself.
    """
    names = [f"board:{number}" for number in range(20)]
    pages = [await opened(f"s={name}@0", cookie) for name in names]
    writer = await opened("s=test:all@0", cookie)
    await publish_many([(name, "test.page", {}) for name in names])

    waits = []
    for number in range(1, 9):
        await publish("test:all", "test.word", {"text": "word"})
        began = next(drawings)
        assert await numbers(writer, 1) == [number]
        waits.append(next(drawings) - began - 1)

    assert max(waits) <= 6, waits
    for page in pages:
        kinds = [message["kind"] for message in await heard_until_state(page, 1)]
        assert (kinds.count("test.page"), kinds[-1]) == (1, "state")
        await page.disconnect()
    await writer.disconnect()


async def test_words_before_a_heavy_event_come_before_it_is_drawn_and_the_order_stays(cookie):
    page = await opened("s=test:all@0", cookie)
    kinds = ["test.word", "test.page", "test.word", "test.note", "test.word"] * 3

    await publish_many([("test:all", kind, {"text": "x"}) for kind in kinds])

    messages = [await page.receive_json_from() for _ in kinds]
    assert [(message["seq"], message["kind"]) for message in messages] == list(enumerate(kinds, 1))
    await page.disconnect()


async def test_the_state_is_drawn_once_for_several_events_and_shows_the_last(cookie):
    page = await opened("s=board:1@0", cookie)
    await heard_until_state(page, 0)
    drawn.clear()

    await publish_many([("board:1", "test.page", {})] * 5)
    messages = await heard_until_state(page, 5)

    assert [message["seq"] for message in messages if message["kind"] != "state"] == [1, 2, 3, 4, 5]
    assert messages[-1]["content"] == "<hx-partial hx-target='#board'>5</hx-partial>"
    assert len(drawn) <= 2
    await publish("board:1", "test.note", {"text": "this changes no state"})
    assert await numbers(page, 1) == [6]
    assert await page.receive_nothing(timeout=2 * hub.SETTLE_S)
    await page.disconnect()


async def test_whoever_comes_back_ends_with_the_same_state_even_if_only_that_was_lost(cookie):
    stays, leaves = [await opened("s=board:1@0", cookie) for _ in range(2)]
    await publish_many([("board:1", "test.page", {})] * 3)
    last = (await heard_until_state(stays, 3))[-1]
    while (await leaves.receive_json_from()).get("seq") != 3:
        pass
    await leaves.disconnect()

    again = {number: await opened(f"s=board:1@{number}", cookie) for number in (0, 3)}

    for number, page in again.items():
        messages = await heard_until_state(page, 3)
        events = [message["seq"] for message in messages if message["kind"] != "state"]
        assert (events, messages[-1]) == (list(range(number + 1, 4)), last)
        await page.disconnect()
    assert await stays.receive_nothing(timeout=0.1), "who missed nothing is sent nothing again"
    await stays.disconnect()


async def test_states_that_a_reader_does_not_take_are_dropped_and_drawn_again(cookie, monkeypatch):
    monkeypatch.setattr(consumer, "WINDOW", 1)
    monkeypatch.setattr(consumer, "BUFFERED", 2)
    page = await opened("s=board:1@0", cookie)
    for _ in range(4):
        await publish_many([("board:1", "test.page", {})] * 2)

    events = []
    while True:
        message = await page.receive_json_from()
        await page.send_json_to({"ack": message["seq"], "stream": "board:1"})
        if message["kind"] != "state":
            events.append(message["seq"])
        elif message["content"].endswith(">8</hx-partial>") and len(events) == 8:
            break

    assert events == list(range(1, 9))
    await page.disconnect()


async def test_numbers_of_purged_deltas_are_skipped(cookie):
    await publish("test:all", "test.note", {"text": "first"})
    await publish("test:all", "delta", {})
    await publish("test:all", "test.note", {"text": "third"})

    @database_sync_to_async
    def grow_old_and_purge():
        Event.objects.filter(kind="delta").update(at="2020-01-01T00:00Z")
        tasks.purge_events()

    await grow_old_and_purge()
    page = await opened("s=test:all@0", cookie)

    assert await numbers(page, 2) == [1, 3]
    await page.disconnect()


async def test_a_page_that_is_too_far_behind_is_told_to_load_again(cookie, monkeypatch):
    monkeypatch.setattr(consumer, "REPLAY", 10)
    await publish_notes("test:all", range(20))
    page = await opened("s=test:all@5", cookie)

    assert await page.receive_json_from() == {"stream": "test:all", "seq": 20, "reset": True}
    await publish_notes("test:all", range(1))
    assert await numbers(page, 1) == [21]
    await page.disconnect()


async def test_a_page_from_before_a_restored_backup_is_told_to_load_again(cookie):
    page = await opened("s=test:all@99", cookie)

    assert (await page.receive_json_from())["reset"] is True
    await page.disconnect()


@pytest.mark.parametrize("address", ["s=unknown:1", "s=test:somebody-else", "s=test:all&s=access"])
async def test_a_stream_that_is_not_ours_is_refused_before_the_socket_opens(cookie, address):
    connected, code = await socket(address, cookie).connect()

    assert (connected, code) == (False, 4403)


@pytest.mark.parametrize("address", ["", "s=test:all@x", "x=1"])
async def test_a_senseless_address_is_refused(cookie, address):
    connected, code = await socket(address, cookie).connect()

    assert (connected, code) == (False, 4400)


async def test_a_stranger_is_refused(cookie):
    connected, code = await socket("s=test:all", "sessionid=nonsense").connect()

    assert (connected, code) == (False, 4403)


@pytest.mark.parametrize("headers", [[(b"origin", b"https://evil.example")], [(b"x", b"no origin")]])
async def test_a_page_from_elsewhere_is_refused(cookie, headers):
    connected, _ = await socket("s=test:all", cookie, *headers).connect()

    assert not connected


async def test_who_loses_the_right_is_cut_off_at_once(cookie):
    user, grace = await log_in("grace")
    theirs, ours = await opened("s=test:grace", grace), await opened("s=test:all", cookie)

    @database_sync_to_async
    def revoke():
        User.objects.filter(pk=user.pk).update(first_name="nobody")
        live.recheck(user.pk)

    await revoke()

    assert await theirs.receive_output(timeout=hub.RECHECK_S - 5) == {"type": "websocket.close", "code": 4403}
    assert await ours.receive_nothing(timeout=0.1)
    await ours.disconnect()


async def test_a_logout_closes_the_sockets_of_that_session_only(cookie):
    _, other = await log_in("ada")
    here, elsewhere = await opened("s=test:all", cookie), await opened("s=test:all", other)

    @database_sync_to_async
    def log_out():
        client = Client()
        client.cookies["sessionid"] = cookie.partition("=")[2]
        client.logout()

    await log_out()

    assert await here.receive_output() == {"type": "websocket.close", "code": 4403}
    assert await elsewhere.receive_nothing(timeout=0.1)
    assert await database_sync_to_async(Session.objects.count)() == 1
    await elsewhere.disconnect()


async def test_rights_are_looked_at_again_without_being_told(cookie, monkeypatch):
    monkeypatch.setattr(hub, "RECHECK_S", 0.2)
    page = await opened("s=test:all", cookie)

    await database_sync_to_async(User.objects.update)(is_active=False)

    assert (await page.receive_output())["code"] == 4403


async def test_a_slow_reader_gets_no_more_than_the_window_and_later_everything(cookie, monkeypatch):
    monkeypatch.setattr(consumer, "WINDOW", 20_000)
    monkeypatch.setattr(consumer, "BUFFERED", 50)
    page = await opened("s=test:all@0", cookie)
    for start in range(0, 400, 100):
        await publish_notes("test:all", range(start, start + 100), size=1000)

    first = await numbers(page, 19)
    assert await page.receive_nothing(timeout=0.3)
    heard = list(first)
    while heard[-1] < 400:
        await page.send_json_to({"ack": heard[-1], "stream": "test:all"})
        heard.append((await page.receive_json_from())["seq"])

    assert heard == list(range(1, 401))
    await page.disconnect()


async def test_a_reader_that_never_reads_is_sent_away(cookie, monkeypatch):
    monkeypatch.setattr(consumer, "WINDOW", 1000)
    monkeypatch.setattr(consumer, "PATIENCE_S", 0.2)
    page = await opened("s=test:all@0", cookie)

    await publish_notes("test:all", range(5), size=1000)

    await page.receive_json_from()
    assert await page.receive_output() == {"type": "websocket.close", "code": 1013}


async def test_what_a_browser_sends_besides_acknowledgements_is_ignored(cookie):
    page = await opened("s=test:all@0", cookie)
    for text in ["no json", "[]", '{"ack": "x"}', '{"ack": 77}', '{"headers": {}}']:
        await page.send_to(text_data=text)

    await publish_notes("test:all", range(1))

    assert await numbers(page, 1) == [1]
    await page.disconnect()


async def assert_wakes_within(seconds: float, cookie: str) -> None:
    page = await opened("s=test:all@0", cookie)
    await publish_notes("test:all", range(1))
    await numbers(page, 1)
    waits_s = []
    for number in range(2, 7):
        began = time.monotonic()
        await publish_notes("test:all", range(1))
        assert await numbers(page, 1) == [number]
        waits_s.append(time.monotonic() - began)
    assert median(waits_s) < seconds, waits_s
    await page.disconnect()


async def test_the_database_wakes_the_hub_long_before_it_sweeps(cookie):
    """SQLite by the version of its file, PostgreSQL by NOTIFY."""
    await assert_wakes_within(hub.SWEEP_S / 4, cookie)


@pytest.mark.redis
async def test_redis_wakes_the_hub_long_before_it_sweeps(cookie, redis_url):
    layers = {"default": {"BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer", "CONFIG": {"hosts": [redis_url]}}}
    with override_settings(REDIS_URL=redis_url, CHANNEL_LAYERS=layers):
        await assert_wakes_within(hub.SWEEP_S / 4, cookie)
        await hub.hub().close()
        await asyncio.sleep(1.2)


async def test_a_lost_wake_up_costs_a_sweep_and_nothing_else(cookie, monkeypatch):
    monkeypatch.setattr(hub, "SWEEP_S", 0.3)
    with override_settings(REDIS_URL="redis://127.0.0.1:1"):
        page = await opened("s=test:all@0", cookie)
        await publish_notes("test:all", range(3))

        assert await numbers(page, 3) == [1, 2, 3]
        await page.disconnect()
        await hub.hub().close()


def test_numbers_are_gapless_and_a_rollback_leaves_none():
    live.publish("test:all", "note")
    with pytest.raises(ZeroDivisionError):
        live.publishing.transaction.atomic(lambda: (live.publish("test:all", "note"), 1 / 0))()
    live.publish_many([("test:all", "note", {}), ("test:b", "note", {}), ("test:all", "note", {})])

    events = Event.objects.order_by("stream__name", "seq").values_list("stream__name", "seq")
    assert list(events) == [("test:all", 1), ("test:all", 2), ("test:all", 3), ("test:b", 1)]
    assert live.position("test:all") == 3


def test_publishing_on_many_streams_takes_few_queries(django_assert_max_num_queries):
    names = [f"test:{number}" for number in range(50)]
    live.publish_many((name, "note", {}) for name in names)

    with transaction.atomic(), django_assert_max_num_queries(2):
        live.publish_many((name, "note", {}) for name in names)

    assert set(Stream.objects.values_list("seq", flat=True)) == {2}


def test_more_streams_than_fit_in_one_statement_are_numbered_as_well(monkeypatch):
    monkeypatch.setattr(live.publishing, "STREAMS_AT_ONCE", 3)
    names = [f"test:{number}" for number in range(8)]

    live.publish_many((name, "note", {}) for name in [*names, *names])

    assert set(Stream.objects.values_list("seq", flat=True)) == {2}
    assert Event.objects.count() == 16


def test_writers_on_one_stream_neither_collide_nor_leave_gaps():
    """Each of four threads writes 25 events on two streams, named in either order."""
    from concurrent.futures import ThreadPoolExecutor

    def write(writer: int) -> None:
        order = ["test:a", "test:b"] if writer % 2 else ["test:b", "test:a"]
        try:
            for _ in range(25):
                live.publish_many((name, "note", {}) for name in order)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))

    seqs = Event.objects.filter(stream__name="test:a").order_by("pk").values_list("seq", flat=True)
    assert list(seqs) == list(range(1, 101))


def test_a_page_asks_for_its_streams_from_here_on():
    live.publish_many([("test:all", "note", {})] * 3)

    assert live.address("test:all", "company") == "/ws/?s=test:all@3&s=company@0"


def test_a_session_of_somebody_else_is_nobody():
    assert not hub._user_of_session("unknown").is_authenticated
