"""A model server on 127.0.0.1 that answers as told and keeps time: ``python -m bench.model '<Manner as JSON>'``.

Speaks the chat-completions API, streamed or not, to whichever client asks, so that two programs can be compared on the
same answers. Prints its port, then writes down when each request was there, when each chunk left, and when the client
hung up, on the clock that all processes of this machine share. ``GET /records`` tells, ``GET /forget`` also clears.
"""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any, cast

from mcc.core import lifeline

JSON = dict[str, Any]
END_OF_MINI = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
CHUNK = "tick "


@dataclass(frozen=True)
class Manner:
    """How the server answers: ``commands`` one after the other, each in an answer of ``chunks`` over ``latency_s``.

    ``{n}`` in a command is the number of the turn. After the last one it calls ``end_tool``. Where the last message of
    a prompt has the words ``asks_for_notes``, it writes text and calls nothing; what the client then drops from its
    prompts does not count as undone.
    """

    commands: list[str] = field(default_factory=lambda: ["true"])
    steps: int = 1
    latency_s: float = 0.0
    chunks: int = 1
    end_tool: str = "submit_bench"
    keeps_prompts: bool = False
    asks_for_notes: str = ""


@dataclass
class Record:
    """One request. Times are nanoseconds of ``time.monotonic``; ``hung_up`` is 0 when the client stayed to the end."""

    session: str
    turn: int
    arrived: int
    done: int = 0
    hung_up: int = 0
    chunks: list[int] = field(default_factory=list)
    prompt: list[str] = field(default_factory=list)
    is_notes: bool = False


class Line(asyncio.StreamReaderProtocol):
    """A connection that notes when its client hangs up."""

    hung_up = 0

    def eof_received(self) -> bool | None:
        self.hung_up = self.hung_up or time.monotonic_ns()
        return super().eof_received()

    def connection_lost(self, error: Exception | None) -> None:
        self.hung_up = self.hung_up or time.monotonic_ns()
        super().connection_lost(error)


class Server:
    def __init__(self, manner: Manner) -> None:
        self.manner = manner
        self.records: list[Record] = []

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Line(asyncio.StreamReader(limit=2**24), self.talk), "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request after the other on a connection."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                method, path, _ = head.split(" ", 2)
                lengths = [
                    line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length:")
                ]
                body = await reader.readexactly(int(lengths[0]) if lengths else 0)
                if method == "GET":
                    self.tell(path, writer)
                else:
                    await self.complete(_session(head) or path.split("/")[1], body, time.monotonic_ns(), writer)
                await writer.drain()
        writer.close()

    def tell(self, path: str, writer: asyncio.StreamWriter) -> None:
        answer(writer, [asdict(record) for record in self.records])
        if path == "/forget":
            self.records.clear()

    async def complete(self, session: str, raw: bytes, arrived: int, writer: asyncio.StreamWriter) -> None:
        body = json.loads(raw)
        record = Record(session, 0, arrived)
        if words := self.manner.asks_for_notes:
            record.is_notes = words in str(body["messages"][-1]["content"])
            record.turn = sum(not earlier.is_notes for earlier in self.records)
        else:
            record.turn = sum(message["role"] == "assistant" for message in body["messages"])
        self.records.append(record)
        if self.manner.keeps_prompts:
            record.prompt = [json.dumps(part, sort_keys=True) for part in (body.get("tools"), *body["messages"])]
        line = cast(Line, writer.transport.get_protocol())
        if body.get("stream"):
            await self.stream(record, body, writer, line)
        else:
            await asyncio.sleep(self.manner.latency_s)
            message = {"role": "assistant", "content": CHUNK, "tool_calls": [self.call(record.turn, body)]}
            choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
            answer(writer, chunk(record, body, [choice], "chat.completion") | {"usage": _usage(raw)})
            record.done = time.monotonic_ns()

    async def stream(self, record: Record, body: JSON, writer: asyncio.StreamWriter, line: Line) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        begun = time.monotonic()
        for number in range(1, self.manner.chunks + 1):
            due_s = begun + self.manner.latency_s * number / self.manner.chunks - time.monotonic()
            if due_s > 0:
                await asyncio.sleep(due_s)
            if line.hung_up or writer.is_closing():
                record.hung_up = line.hung_up or time.monotonic_ns()
                raise ConnectionResetError
            record.chunks.append(time.monotonic_ns())
            send(writer, chunk(record, body, [{"index": 0, "delta": {"content": CHUNK}, "finish_reason": None}]))
        if not record.is_notes:
            call = {"index": 0, **self.call(record.turn, body)}
            send(writer, chunk(record, body, [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None}]))
        reason = "stop" if record.is_notes else "tool_calls"
        send(writer, chunk(record, body, [{"index": 0, "delta": {}, "finish_reason": reason}]))
        send(writer, chunk(record, body, []) | {"usage": _usage(json.dumps(body["messages"]).encode())})
        data = b"data: [DONE]\n\n"
        writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(data), data))
        record.done = time.monotonic_ns()

    def call(self, turn: int, body: JSON) -> JSON:
        """Return what the model does at this turn, with the tool that the client has for it."""
        offered = {tool["function"]["name"] for tool in body.get("tools") or []}
        is_over = turn >= self.manner.steps
        command = END_OF_MINI if is_over else self.manner.commands[turn % len(self.manner.commands)]
        name, arguments = "bash" if "bash" in offered else "run", {"command": command.replace("{n}", str(turn))}
        if is_over and name == "run":
            name, arguments = self.manner.end_tool, {}
        function = {"name": name, "arguments": json.dumps(arguments)}
        return {"id": f"call_{turn}", "type": "function", "function": function}


def chunk(record: Record, body: JSON, choices: list[JSON], kind: str = "chat.completion.chunk") -> JSON:
    name = f"gen-{record.session}-{record.turn}-{record.arrived}"
    return {"id": name, "object": kind, "created": 1, "model": body["model"], "choices": choices}


def _session(head: str) -> str:
    """Return which run of ours asks, by the key of its attempt (``run:5/step:3/attempt:1``); "" when it is not ours."""
    found = re.search(r"^idempotency-key: run:(\d+)/", head, re.MULTILINE | re.IGNORECASE)
    return f"mcc-run-{found[1]}" if found else ""


def _usage(prompt: bytes) -> JSON:
    tokens = len(prompt) // 4
    return {"prompt_tokens": tokens, "completion_tokens": 30, "total_tokens": tokens + 30}


def send(writer: asyncio.StreamWriter, event: JSON) -> None:
    data = b"data: " + json.dumps(event).encode() + b"\n\n"
    writer.write(b"%x\r\n%s\r\n" % (len(data), data))


def answer(writer: asyncio.StreamWriter, content: object, **headers: str) -> None:
    data = json.dumps(content).encode()
    fields = {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    writer.write("\r\n".join(lines).encode() + data)


if __name__ == "__main__":
    lifeline.die_with(os.getppid(), signal.SIGTERM)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(Server(Manner(**json.loads(sys.argv[1]))).serve())
