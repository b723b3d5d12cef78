"""An answer while its pieces arrive."""

from agents.gateway.call import Completion, ToolCall
from agents.meter import Metered
from agents.pieces import Piece
from mcc.core.redaction import redact_known as _known_out


class Draft:
    """Joins the pieces of a stream. Pieces of tool calls belong together by their index."""

    def __init__(self) -> None:
        self.finish_reason = ""
        self.model = ""
        self.provider = ""
        self.metered: Metered | None = None
        self._text: list[str] = []
        self._names: dict[int, str] = {}
        self._arguments: dict[int, list[str]] = {}

    def add(self, piece: Piece) -> str:
        """Return the text that is new. After its reason to finish an answer is over: some servers send it twice."""
        text = "" if self.finish_reason else piece.text
        if not self.finish_reason:
            self._text.append(text)
            self._join(piece)
        self.finish_reason = self.finish_reason or piece.finish_reason
        self.model = piece.model or self.model
        self.provider = piece.provider or self.provider
        self.metered = piece.metered or self.metered
        return text

    def _join(self, piece: Piece) -> None:
        for call in piece.calls:
            self._names[call.index] = self._names.get(call.index) or call.name
            self._arguments.setdefault(call.index, []).append(call.arguments)

    @property
    def is_whole(self) -> bool:
        """Whether the stream came to its end: a reason, or the usage that only the last chunk brings."""
        return self.finish_reason != "error" and bool(self.finish_reason or self.metered)

    @property
    def is_billed(self) -> bool:
        """Whether nothing is missing: the reason to finish came, and the usage after it."""
        return self.is_whole and bool(self.finish_reason and self.metered)

    def completion(self, step: int, duration_ms: int) -> Completion:
        """Return the answer. The model's own ids of tool calls repeat between answers, so they are replaced.

        Of secrets only known ones go: what merely looks like one the model made up itself, for a test perhaps, and what
        is journaled must be what is carried out.
        """
        calls = tuple(
            ToolCall(f"s{step}c{place}", self._names[index], _known_out("".join(self._arguments[index])) or "{}")
            for place, index in enumerate(sorted(self._names))
        )
        reason = self.finish_reason or ("tool_calls" if calls else "stop")
        return Completion(_known_out("".join(self._text)), calls, reason[:20], duration_ms)
