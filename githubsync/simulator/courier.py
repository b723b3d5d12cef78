"""Webhooks that are really sent: signed, once, with ten seconds for an answer, and written down. Nothing is tried again
unless somebody asks for it.

Several go out at the same time, so that they may arrive in another order than they happened: so it is at GitHub.
"""

from __future__ import annotations

import http.client
import ipaddress
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from githubsync.simulator import apps
from githubsync.simulator.hooks import Hook, Sent
from githubsync.simulator.shapes import Shapes
from githubsync.simulator.weather import Weather
from githubsync.simulator.world import Happening, World

AT_ONCE = 8
TIMEOUT_S = 10
LONGEST_ANSWER = 64 * 1024


class Courier:
    """Hears what happens in a world and tells those whose hooks want to know."""

    def __init__(self, world: World, shapes: Shapes) -> None:
        self.world, self.shapes = world, shapes
        self.observers: list[Callable[[str, dict[str, Any]], None]] = []
        """Called with the event and the payload of every delivery, under the world's lock."""
        self.weather = Weather()
        self._pool = ThreadPoolExecutor(AT_ONCE, "courier")
        self._under_way = 0
        self._arrived = threading.Condition()
        world.listeners.append(self.hear)

    def hear(self, news: Happening) -> None:
        """Tell of ``news`` as things are now."""
        with self.world.lock:
            body: dict[str, Any] | None = None
            for hook, more in list(self._receivers(news)):
                body = body or self.shapes.payload(news)
                self.send(hook, news.event, body | more)

    def send(self, hook: Hook, event: str, payload: dict[str, Any], *, guid: str = "") -> None:
        """Send a delivery, with ``guid`` once more."""
        for observer in self.observers:
            observer(event, payload)
        delays_s = [0.0] if guid else self.weather.delays_s()
        with self._arrived:
            self._under_way += len(delays_s)
        letter, once_more = (hook, event, payload, guid or str(uuid.uuid4())), bool(guid)
        for delay_s in delays_s:
            self._pool.submit(self._deliver, *letter, again=once_more, delay_s=delay_s)

    def wait(self, timeout_s: float = 30) -> None:
        """Wait until everything was answered, or not. Raises TimeoutError."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: not self._under_way, timeout_s):
                raise TimeoutError(f"{self._under_way} deliveries are still under way")

    def stop(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _receivers(self, news: Happening) -> Iterator[tuple[Hook, dict[str, Any]]]:
        """Give the hooks that want to know, and what their payloads say besides."""
        if hook := news.about.get("hook"):
            yield hook, {}
            return
        if place := news.about.get("installation"):
            if place.app.hook.wants(news.event):
                yield place.app.hook, {}
        elif repo := news.repo:
            asked = news.about["run"].maker if news.action == "rerequested" else None  # nobody else is told
            if news.action != "rerequested":
                yield from ((hook, {}) for hook in repo.hooks if hook.wants(news.event))
            for place in self.world.installations.values():
                hears = news.event in place.events and place.app.hook.wants(news.event)
                hears = hears and (news.action != "rerequested" or place.app is asked)
                if hears and apps.sees(place, repo.id, repo.owner) and not place.suspended_at:
                    yield place.app.hook, {"installation": self.shapes.installation_briefly(place)}

    def _deliver(
        self, hook: Hook, event: str, payload: dict[str, Any], guid: str, *, again: bool, delay_s: float
    ) -> None:
        time.sleep(delay_s)
        headers, body = hook.letter(event, guid, payload)
        at, began = datetime.now(UTC), time.monotonic()
        try:
            code, answer_headers, answer = _post(hook.url, headers, body)
            status = "OK" if code < 300 else f"Invalid HTTP Response: {code}"
        except TimeoutError:
            code, answer_headers, answer, status = 0, {}, "", "timed out"
        except (OSError, http.client.HTTPException, ValueError):
            code, answer_headers, answer, status = 0, {}, "", "failed to connect to host"
        took_s = round(time.monotonic() - began, 2)
        with self.world.lock:
            number = self.world.next_id()
            about = (number, guid, event, payload, headers, again, code, status, answer_headers, answer, took_s)
            hook.deliveries.append(Sent(*about, hook.url, at))
        with self._arrived:
            self._under_way -= 1
            self._arrived.notify_all()


def _post(url: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], str]:
    """Post to an address of this machine; no other is ever asked. Raises OSError, HTTPException, ValueError."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
        raise ConnectionRefusedError(host)
    line = http.client.HTTPConnection(host, parts.port or 80, timeout=TIMEOUT_S)
    try:
        line.request("POST", parts.path + (f"?{parts.query}" if parts.query else ""), body, headers)
        answer = line.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read(LONGEST_ANSWER).decode("utf-8", "replace")
    finally:
        line.close()
