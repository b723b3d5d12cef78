"""Chunks as they come over the wire, however strange."""

import pytest

from agents.pieces import CallPiece, Piece, piece_of


@pytest.mark.parametrize(
    "chunk",
    [
        None,
        [],
        "text",
        {},
        {"choices": None, "usage": None, "id": None},
        {"choices": [], "model": 7, "provider": None},
        {"choices": [None]},
        {"choices": [{"delta": None, "finish_reason": None}]},
        {"choices": [{"delta": {"content": None, "tool_calls": None}}]},
        {"choices": {"0": {}}, "usage": []},
    ],
)
def test_a_chunk_without_anything_that_we_know_brings_nothing(chunk):
    assert piece_of(chunk) == Piece()


def test_a_tool_call_may_come_without_its_parts():
    calls = [None, {}, {"index": None, "function": None}, {"index": 2, "function": {"name": "run", "arguments": None}}]

    piece = piece_of({"choices": [{"delta": {"tool_calls": calls}}]})

    calls = [(0, ""), (1, ""), (2, ""), (2, "run")]
    assert piece.calls == tuple(CallPiece(index, "", name, "") for index, name in calls)
