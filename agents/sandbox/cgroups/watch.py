"""Minds what the kernel does to the group of a command."""

from dataclasses import replace

from agents.sandbox.cgroups.group import Group
from agents.sandbox.pump import Verdict
from agents.sandbox.types import Ending, Limits, Result
from agents.sandbox.watchdogs import host_is_short, used_up


class GroupWatch:
    """Watches one command in ``group``, which limits its memory: a process killed for it ends the command."""

    def __init__(self, limits: Limits, group: Group) -> None:
        self._limits = limits
        self._group = group
        self._kills = group.kills()
        self._peak = group.peak() or 0

    def look(self, _init_pid: int | None) -> Verdict | None:
        if kills := self._group.kills() - self._kills:
            return Verdict(Ending.MEMORY_LIMIT, used_up(kills))
        return host_is_short(self._limits)

    def judged(self, result: Result) -> Result:
        """Return the result as it is to be understood: what was killed too soon to be seen counts, too.

        The peak is told when it is higher than any command's before: the kernel does not begin anew.
        """
        kills, peak = self._group.kills() - self._kills, self._group.peak() or 0
        result = replace(result, peak_memory=peak if peak > self._peak else None)
        if kills and result.outcome in (Ending.EXITED, Ending.LOST) and result.exit_code != 0:
            return replace(result, outcome=Ending.MEMORY_LIMIT, exit_code=None, detail=used_up(kills))
        return result
