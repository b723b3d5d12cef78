"""What carries the requests to a model: whatever breaks, it says truly whether something can have been sent."""

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from agents.client.failures import NOT_SENT
from agents.transport import AiohttpTransport

HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
RESET = b"\x01\x00\x00\x00\x00\x00\x00\x00"


@contextmanager
def listening(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that reads one request per connection, then does as told."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                line, _ = server.accept()
            except OSError:
                return
            with line:
                line.settimeout(20)
                behave(line)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1"
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(20)


def send(url: str, *, pause_s: float = 0, **timeouts: float) -> bytes:
    """Return the whole answer to a POST, read after a pause."""

    async def sending() -> bytes:
        timeout = httpx2.Timeout(20, **timeouts)
        async with httpx2.AsyncClient(transport=AiohttpTransport(kept_open_s=4), timeout=timeout) as client:
            heard = b""
            async with client.stream("POST", url, json={"a": 1}) as answer:
                await asyncio.sleep(pause_s)
                try:
                    async for chunk in answer.aiter_bytes():
                        heard += chunk
                except httpx2.HTTPError as error:
                    error.add_note(heard.decode())
                    raise
            return heard

    return asyncio.run(sending())


def failure(url: str, **options: float) -> httpx2.HTTPError:
    with pytest.raises(httpx2.HTTPError) as caught:
        send(url, **options)
    return caught.value


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def reset(line: socket.socket) -> None:
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def test_an_answer_arrives_whole():
    def behave(line: socket.socket) -> None:
        assert b'{"a":1}' in line.recv(65536)
        line.sendall(HEADERS + b"5\r\nhello\r\n" + b"6\r\n again\r\n0\r\n\r\n")

    with listening(behave) as url:
        assert send(url) == b"hello again"


@pytest.mark.parametrize("broken_by", ["closing", "reset"])
def test_a_connection_that_breaks_after_the_request_may_have_been_billed(broken_by):
    def behave(line: socket.socket) -> None:
        line.recv(65536)
        if broken_by == "reset":
            reset(line)

    with listening(behave) as url:
        assert not isinstance(failure(url), NOT_SENT)


def test_what_came_before_the_connection_broke_is_given_though_nobody_listened_then():
    def behave(line: socket.socket) -> None:
        line.recv(65536)
        line.sendall(HEADERS + b"4\r\nbill\r\n")

    with listening(behave) as url:
        error = failure(url, pause_s=0.5)

    assert (error.__notes__, isinstance(error, NOT_SENT)) == (["bill"], False)


def test_silence_is_not_taken_for_a_request_that_was_never_made():
    done = threading.Event()

    def behave(line: socket.socket) -> None:
        line.recv(65536)
        done.wait(20)

    with listening(behave) as url:
        error = failure(url, read=0.2)
        done.set()

    assert isinstance(error, httpx2.ReadTimeout)
    assert not isinstance(error, NOT_SENT)


def test_who_reads_nothing_does_not_keep_a_request_for_ever():
    done = threading.Event()
    more_than_fits_between_us = b"x" * 64 * 1024**2

    async def sending(url: str) -> httpx2.HTTPError:
        files, timeout = open_files(), httpx2.Timeout(3, write=0.1, read=0.1)
        async with httpx2.AsyncClient(transport=AiohttpTransport(kept_open_s=4), timeout=timeout) as client:
            with pytest.raises(httpx2.ReadTimeout) as caught:
                await client.post(url, content=more_than_fits_between_us)
            done.set()
            while open_files() > files:
                await asyncio.sleep(0.01)
        return caught.value

    with listening(lambda _: done.wait(20)) as url:
        assert not isinstance(asyncio.run(sending(url)), NOT_SENT)


def test_an_answer_with_a_long_header_is_heard():
    def behave(line: socket.socket) -> None:
        line.recv(65536)
        line.sendall(HEADERS.replace(b"\r\n\r\n", b"\r\nContent-Security-Policy: " + b"x" * 30_000 + b"\r\n\r\n"))
        line.sendall(b"4\r\nbill\r\n0\r\n\r\n")

    with listening(behave) as url:
        assert send(url) == b"bill"


def test_nobody_there_means_that_nothing_was_sent(tmp_path):
    with socket.socket() as taken:  # and nobody else takes the port meanwhile
        taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        for url in (nobody, "http://no-such-host.invalid/v1", "gopher://127.0.0.1/v1"):
            assert isinstance(failure(url), NOT_SENT), url


def test_a_server_with_a_certificate_of_its_own_is_sent_nothing(tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ["-subj", "/CN=localhost", "-days", "1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject], check=True, capture_output=True
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def behave(line: socket.socket) -> None:
        with suppress(OSError):
            context.wrap_socket(line, server_side=True)

    with listening(behave) as url:
        assert isinstance(failure(url.replace("http", "https")), NOT_SENT)
