"""An answer while its pieces arrive."""

from dataclasses import dataclass, field
from typing import Final

from agents import lenient
from agents.gateway.call import Completion, ToolCall
from agents.meter import Metered
from agents.pieces import CallPiece, Piece
from mcc.core.redaction import redact_known as _known_out

MOST_CHARS: Final = 4 * 1024 * 1024
"""Of an answer, tool calls included. No model writes that much; a server that went mad would fill our memory."""
REFUSAL: Final = "refusal"


@dataclass
class _Call:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    @property
    def is_begun(self) -> bool:
        return any(self.arguments)

    @property
    def is_whole(self) -> bool:
        """Whether nothing can follow: an object was closed."""
        return lenient.is_object("".join(self.arguments))


class Draft:
    """Joins the pieces of a stream. Pieces of tool calls belong together by their index."""

    def __init__(self) -> None:
        self.finish_reason = ""
        self.model = ""
        self.provider = ""
        self.metered: Metered | None = None
        self._text: list[str] = []
        self._calls: list[_Call] = []
        self._newest: dict[int, _Call] = {}
        self._chars = 0
        self._declined = False

    def add(self, piece: Piece) -> str:
        """Return the text that is new. After its reason to finish an answer is over: some servers send it twice."""
        text = "" if self.finish_reason else piece.text + piece.refusal
        if not self.finish_reason:
            self._text.append(text)
            self._declined |= bool(piece.refusal)
            self._chars += len(text)
            for call in piece.calls:
                self._join(call)
        self.finish_reason = self.finish_reason or piece.finish_reason
        self.model = piece.model or self.model
        self.provider = piece.provider or self.provider
        self.metered = piece.metered or self.metered
        return text

    def _join(self, piece: CallPiece) -> None:
        call = self._newest.get(piece.index)
        if call is None or _is_another(piece, call):
            call = self._newest[piece.index] = _Call(piece.id, piece.name)
            self._calls.append(call)
        call.name = call.name or piece.name
        call.id = call.id or piece.id
        call.arguments.append(piece.arguments)
        self._chars += len(piece.arguments) + len(piece.name)

    @property
    def is_too_long(self) -> bool:
        return self._chars > MOST_CHARS

    @property
    def is_whole(self) -> bool:
        """Whether the stream came to its end: a reason, or the usage that only the last chunk brings."""
        return self.finish_reason != "error" and bool(self.finish_reason or self.metered)

    @property
    def is_billed(self) -> bool:
        """Whether nothing is missing: the reason to finish came, and the usage after it."""
        return self.is_whole and bool(self.finish_reason and self.metered)

    def completion(self, step: int, asked_at: float, answered_at: float) -> Completion:
        """Return the answer; the times are those of ``time.monotonic``.

        The model's own ids of tool calls repeat between answers, so they are replaced.
        Of secrets only known ones go: what merely looks like one the model made up itself, for a test perhaps, and what
        is journaled must be what is carried out.
        """
        calls = tuple(
            ToolCall(f"s{step}c{place}", call.name, _known_out("".join(call.arguments)))
            for place, call in enumerate(self._calls)
        )
        reason = self.finish_reason or ("tool_calls" if calls else "stop")
        if self._declined and reason == "stop":
            reason = REFUSAL
        took_ms = round(1_000 * (answered_at - asked_at))
        return Completion(_known_out("".join(self._text)), calls, reason[:20], took_ms, answered_at)


def _is_another(piece: CallPiece, call: _Call) -> bool:
    """Whether ``piece`` begins a call of its own though it has the index of ``call``: some servers number all calls 0.

    Others repeat the name with every piece, and its id, or make a new id each time.
    """
    if not piece.name or not call.name:
        return False
    is_named_otherwise = bool(piece.id and call.id and piece.id != call.id)
    if not call.is_begun:
        return is_named_otherwise
    return (is_named_otherwise or bool(piece.arguments)) and call.is_whole
