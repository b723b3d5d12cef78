"""The tool ``run``: one command in the sandbox, without a shell session that could get stuck."""

import re
from dataclasses import replace
from typing import Final

from agents.errors import Interrupted
from agents.sandbox.egress.record import told
from agents.sandbox.types import MAX_WALL_S, MIB, Ending, Result
from agents.tools.registry import ToolContext, ToolResult, tool

DEFAULT_TIMEOUT_S: Final = 120
SHOWN_CHARS: Final = 5_000
"""Of the head and of the tail of an output each."""
KEPT_BYTES: Final = MIB

ENVIRONMENT: Final = {
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "PIP_PROGRESS_BAR": "off",
    "TQDM_DISABLE": "1",
    "TERM": "dumb",
}
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")

_ENDINGS = {
    Ending.TIMEOUT: "killed: it ran longer than {timeout_s} s. Run less at once, or pass a larger timeout_s",
    Ending.OUTPUT_LIMIT: "killed: it wrote too much. Redirect the output to a file, or filter it",
    Ending.MEMORY_LIMIT: "killed: it used too much memory",
    Ending.DISK_LIMIT: "killed: it filled the disk. Delete what is not needed",
    Ending.LOST: "lost: the sandbox went away. Run it again",
}


@tool(
    "run",
    "Run a shell command in the workspace and get its output and exit code. Every command starts in the "
    "root of the repository in a new shell: chain with && what belongs together. There is no network but what "
    "the project allows, and nobody answers prompts.",
    {
        "type": "object",
        "properties": {
            "command": {"type": "string", "description": "a bash command line"},
            "timeout_s": {
                "type": "number",
                "minimum": 1,
                "maximum": MAX_WALL_S,
                "description": f"seconds after which it is killed; {DEFAULT_TIMEOUT_S} when left out",
            },
        },
        "required": ["command"],
        "additionalProperties": False,
    },
)
def run(context: ToolContext, command: str, timeout_s: float = DEFAULT_TIMEOUT_S) -> ToolResult:
    """Raises Interrupted when the run was stopped meanwhile: the command is run again later."""
    sandbox = context.workplace.sandbox()
    timeout_s = min(timeout_s, sandbox.spec.limits.wall_s)
    limits = replace(sandbox.spec.limits, wall_s=timeout_s, output_kept=KEPT_BYTES)
    result = sandbox.sh(command, env=ENVIRONMENT, limits=limits, cancel=context.cancel)
    if result.outcome is Ending.CANCELLED:
        raise Interrupted
    output = plain(result.text)
    shown = head_and_tail(output)
    return ToolResult(
        text=f"{shown or '(no output)'}\n\n[{_verdict(result, timeout_s)}]{_refused(result)}",
        is_error=result.outcome is not Ending.EXITED,
        full_output=output if shown != output or result.truncated else None,
        output_bytes=result.output_total,
        detail={
            "exit_code": result.exit_code,
            "duration_ms": round(result.wall_s * 1000),
            "ending": result.outcome.value,
            "network": [contact._asdict() for contact in result.contacts],
        },
    )


def plain(text: str) -> str:
    """Return ``text`` without colours and other control sequences, as a terminal would leave it standing."""
    text = _ESCAPES.sub("", text)
    # What comes after a return overwrites the line; one at its end overwrites nothing.
    text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "".join(char for char in text if char >= " " or char in "\n\t").rstrip()


def head_and_tail(text: str) -> str:
    """Return ``text``, its middle left out when it is long: causes stand at the top, verdicts at the end."""
    left_out = len(text) - 2 * SHOWN_CHARS
    if left_out <= 0:
        return text
    notice = f"\n[… {left_out} characters left out: `recall` them by their words, or filter the output with grep …]\n"
    return text[:SHOWN_CHARS] + notice + text[-SHOWN_CHARS:]


def _refused(result: Result) -> str:
    """Say what the network refused: programs tend to hide it behind an error of their own."""
    lines = told(result.contacts)
    return f"\n{lines}" if lines else ""


def _verdict(result: Result, timeout_s: float) -> str:
    if result.outcome is Ending.EXITED:
        return f"exit code {result.exit_code}"
    return _ENDINGS[result.outcome].format(timeout_s=f"{timeout_s:g}")
