"""Lets the provider of the tests answer with what a small model really says, and bill it by the token."""

import json
import os
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

from tests.provider.answer import Answer

PROMPT_USD, ANSWER_USD = Decimal("0.000003"), Decimal("0.000015")


class Thinker:
    """Asks the model one question after the other. A ``Mode`` of the provider: ``server.usual = thinker``."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [os.environ["MCC_TEST_LLM"], str(Path(__file__).with_name("mind.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._queue = ThreadPoolExecutor(1)
        self.window: int = self._heard()["window"]

    def close(self) -> None:
        with self._process as process:
            process.kill()
        self._queue.shutdown()

    def __call__(self, answer: Answer) -> None:
        """Keep the line alive while the model thinks, as OpenRouter does, then say it all at once."""
        thought = self._queue.submit(self._ask, answer.body)
        answer.open()
        self._keep_alive(answer, thought)
        said = thought.result()
        if said.get("too_long"):
            error = {"code": 400, "message": f"This endpoint's maximum context length is {self.window} tokens."}
            answer.event({"error": error, "choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]})
            answer.done()
            return
        generation, usage = answer.generation, said["usage"]
        generation.input_tokens, generation.output_tokens = usage["prompt_tokens"], usage["completion_tokens"]
        generation.cached_tokens = generation.reasoning_tokens = 0
        answer.cost = generation.input_tokens * PROMPT_USD + generation.output_tokens * ANSWER_USD
        if said["content"]:
            answer.text(said["content"])
        if said["tool_calls"]:
            answer.delta({"tool_calls": [{"index": at, **call} for at, call in enumerate(said["tool_calls"])]})
        answer.finish(said["finish_reason"])
        answer.usage()
        answer.done()

    @staticmethod
    def _keep_alive(answer: Answer, thought: "Future[dict]") -> None:
        while not thought.done():
            answer.comment()
            answer.wait(1)

    def _ask(self, question: dict) -> dict:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        return self._heard()

    def _heard(self) -> dict:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())
