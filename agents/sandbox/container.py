"""The container of one workspace: made when it is first needed, killed after every doubt, and then started anew.

Each command runs inside a shell that outlives it, sweeps up what it started, empties the temporary directories and
reports. A hostile command runs as the same user and can kill or fool that shell, so nothing rests on it: a missing
report or a process too many, and everything in the container is killed from outside.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Self

from agents.sandbox.docker_profile import LIFE_S, Plan, allotment, config
from agents.sandbox.engine import Conversation, Engine, NameTaken, NotRunning
from agents.sandbox.errors import SandboxGone
from agents.sandbox.types import MAX_WALL_S, Limits

logger = logging.getLogger(__name__)

OWN_PROCESSES = 2
"""The container's first process and the one that waits."""
AROUND = """
exec 3>&2 2>&1
memory() {
    kills=0 peak=0 at=/sys/fs/cgroup
    if [ -r $at/memory.events ]; then events=$at/memory.events most=$at/memory.peak
    else events=$at/memory/memory.oom_control most=$at/memory/memory.max_usage_in_bytes; fi
    while read -r name number; do [ "$name" != oom_kill ] || kills=$number; done < $events
    read -r peak < $most
} 2>/dev/null
memory
echo "begun $kills $peak" >&3
(
    exec 3>&-
    ulimit -f "$2" && ulimit -t "$3" && cd -- "$1" || exit 125
    shift 3
    exec "$@"
)
code=$?
exec >/dev/null 2>&1
kill -9 -1
PATH=/usr/local/bin:/usr/bin:/bin
places='/tmp /var/tmp /dev/shm /home/agent'
find $places -mindepth 1 -delete || { chmod -R u+rwX $places; find $places -mindepth 1 -delete; }
memory
echo "ended $code $kills $peak" >&3
"""


@dataclass(frozen=True)
class Report:
    """What the shell around a command told: how it ended, and the container's memory before and after."""

    exit_code: int
    kills: int
    """How many processes the kernel killed meanwhile because the memory was used up."""
    peak_memory: int | None
    """In bytes; None: an earlier command had used more."""

    @classmethod
    def read(cls, words: bytes) -> Self | None:
        """Return it; None when the shell did not come to its end."""
        try:
            begun, ended = (line.split() for line in words.decode("ascii").splitlines())
            (_, kills_before, peak_before), (_, code, kills, peak) = begun, ended
            higher = int(peak) if int(peak) > int(peak_before) else None
            return cls(int(code), int(kills) - int(kills_before), higher)
        except ValueError:
            return None


class Container:
    """One container. ``kill`` may come from any thread; all else from whoever has the turn."""

    def __init__(self, engine: Engine, name: str, plan: Plan) -> None:
        self._engine = engine
        self._name = name
        self._plan = plan
        self._key = ""
        self._state = Lock()
        self._started_at: float | None = None
        self._has = allotment(plan.limits)

    def talk(
        self, argv: Sequence[str], start: str, env: Mapping[str, str], limits: Limits, *, has_input: bool
    ) -> Conversation:
        """Start a command with a container around it. Raises SandboxStartError."""
        self._be_ready(limits)
        cpu_s = limits.cpu_s or int(limits.wall_s * max(1, limits.cpus)) + 5
        blocks = min(limits.file_size, self._plan.limits.file_size) // 512
        words = ["/bin/sh", "-c", AROUND, "mcc", start, str(blocks), str(cpu_s), *argv]
        try:
            return self._engine.talk(self._key, words, uid=self._plan.uid, env=env, has_input=has_input)
        except (NotRunning, SandboxGone):
            # It has come to the end of its life, or somebody tidied up: the workspace is still there.
            self.kill()
            self._be_ready(limits)
            return self._engine.talk(self._key, words, uid=self._plan.uid, env=env, has_input=has_input)

    def _be_ready(self, limits: Limits) -> None:
        if self._started_at is not None and time.monotonic() - self._started_at > LIFE_S - 2 * MAX_WALL_S:
            self.kill()
        if self._started_at is None:
            self._start()
        if (wanted := allotment(limits)) != self._has:
            self._engine.change(self._key, wanted)
            self._has = wanted

    def _start(self) -> None:
        if not self._key:
            self._create()
        try:
            self._engine.start(self._key)
        except SandboxGone:
            self._create()
            self._engine.start(self._key)
        with self._state:
            self._started_at = time.monotonic()

    def _create(self) -> None:
        body = config(self._plan)
        try:
            self._key = self._engine.create(self._name, body)
        except NameTaken:
            # Whoever opens a workspace has it alone, so this one was left behind.
            self._engine.remove(self._name)
            self._key = self._engine.create(self._name, body)
        self._has = allotment(self._plan.limits)

    def kill(self) -> None:
        """Kill all that runs in it. It stands still until the next command."""
        with self._state:
            if self._key:
                self._engine.kill(self._key)
            self._started_at = None

    def is_swept(self) -> bool:
        """Say whether nothing runs in it but what keeps it alive."""
        return self._engine.processes(self._key) <= OWN_PROCESSES

    def remove(self) -> None:
        if self._key:
            self._engine.remove(self._key)
            self._key, self._started_at = "", None
