"""What the rehearsal model billed, for whoever asks later, from whichever process.

The name of a generation carries its tally, so any process can answer for it. Where ``MCC_REHEARSAL_BILL`` names a file,
every billed generation is also a line of it, and the file is the truth: what is not in it was never billed.

A generation is billed when its first chunk leaves, in full even if the stream is cut: many providers do the same.
"""

import json
import os
import secrets
from pathlib import Path

from django.conf import settings

from agents.rehearsal.meter import Tally
from agents.rehearsal.prompt import JSON, Prompt

PREFIX = "gen-rehearsal"


def name(tally: Tally) -> str:
    """Return a new generation id."""
    numbers = (tally.input_tokens, tally.cached_tokens, tally.output_tokens, tally.cost_nanousd)
    return "-".join((PREFIX, *map(str, numbers), secrets.token_hex(6)))


def charge(generation_id: str, prompt: Prompt, tally: Tally) -> None:
    """Write the generation on the bill. One write of one line, so that processes do not cut into each other."""
    if not settings.MCC_REHEARSAL_BILL:
        return
    line = {
        "id": generation_id,
        "attempt": prompt.trace.get("mcc_attempt", ""),
        "model": prompt.body.get("model", ""),
        "input_tokens": tally.input_tokens,
        "cached_tokens": tally.cached_tokens,
        "output_tokens": tally.output_tokens,
        "cost_nanousd": tally.cost_nanousd,
    }
    descriptor = os.open(settings.MCC_REHEARSAL_BILL, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, json.dumps(line).encode() + b"\n")
    finally:
        os.close(descriptor)


def record(generation_id: str) -> JSON | None:
    """Return the record of a generation as ``GET /generation`` gives it, or None if the id is not one of ours."""
    numbers = generation_id.removeprefix(PREFIX + "-").split("-")
    if not generation_id.startswith(PREFIX) or len(numbers) != 5 or not all(map(str.isdecimal, numbers[:4])):
        return None
    tally = Tally(*map(int, numbers[:4])) if _was_billed(generation_id) else Tally(0, 0, 0, 0)
    return {
        "id": generation_id,
        "model": "rehearsal/company",
        "provider_name": "Rehearsal",
        "native_tokens_prompt": tally.input_tokens,
        "native_tokens_completion": tally.output_tokens,
        "native_tokens_cached": tally.cached_tokens,
        "total_cost": tally.cost_nanousd / 1_000_000_000,
    }


def _was_billed(generation_id: str) -> bool:
    if not settings.MCC_REHEARSAL_BILL:
        return True
    try:
        with Path(settings.MCC_REHEARSAL_BILL).open() as lines:
            return any(generation_id in line for line in lines)
    except FileNotFoundError:
        return False
