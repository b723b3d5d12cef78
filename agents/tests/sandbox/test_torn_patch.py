"""A process that is killed between two files of one patch: the call is made again, and does the rest."""

import secrets
import signal
from collections.abc import Iterator
from shlex import quote
from threading import Event

import pytest

from agents.models import Run
from agents.sandbox import places, reaping
from agents.sandbox.types import Limits, Sandbox, SandboxBackend, SandboxSpec
from agents.tests.sandbox.conftest import environment_of, other_process
from agents.tools import registry
from agents.tools.registry import ToolContext

pytestmark = pytest.mark.sandbox
PATCH = """\
*** Begin Patch
*** Update File: app.py
-GREETING = "hello"
+GREETING = "good day"
*** Update File: src/old_name.py
*** Move to: src/new_name.py
-VALUE = 1
+VALUE = 2
*** Add File: docs/new.md
+# New
*** Delete File: gone.txt
*** End Patch"""
BEFORE = {"app.py": 'GREETING = "hello"\n', "src/old_name.py": "VALUE = 1\n", "gone.txt": "gone\n"}
AFTER = {"app.py": 'GREETING = "good day"\n', "src/new_name.py": "VALUE = 2\n", "docs/new.md": "# New\n"}
PUTS = ("app.py", "src/new_name.py", "src/old_name.py", "docs/new.md", "gone.txt")
"""What the patch writes and removes, in this order."""

DOOMED = """
import os, signal
import django
django.setup()
from agents.sandbox import backend
from agents.tests.sandbox.test_torn_patch import apply, opened

chosen = backend()
for last in range(1, {puts}):
    if not os.fork():
        sandbox = opened(chosen, "{name}-" + str(last))
        left = last

        def until_the_last(put):
            def counted(*arguments, **options):
                global left
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                left -= 1
                return put(*arguments, **options)
            return counted

        sandbox.write_file, sandbox.remove_file = map(until_the_last, (sandbox.write_file, sandbox.remove_file))
        apply(sandbox)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""


class Bench:
    """A workplace that is nothing but a sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    def pinned(self) -> str:
        return ""

    def map(self) -> str:
        return ""

    def sandbox(self) -> Sandbox:
        return self._sandbox

    def may_write(self, path: str) -> bool:
        return True

    def break_off(self) -> None:
        pass

    def close(self) -> None:
        pass


def opened(backend: SandboxBackend, name: str) -> Sandbox:
    return backend.create(SandboxSpec(name, places.make_workspace(name), limits=Limits(wall_s=60)))


def apply(sandbox: Sandbox, *, again: bool = False) -> str:
    context = ToolContext(Run(pk=1), "s0c0", Bench(sandbox), Event(), again=again)
    return registry.get("apply_patch").function(context, patch=PATCH).text


def files(sandbox: Sandbox) -> dict[str, str]:
    """Return all files, each of one line, in one command: containers are slow."""
    shown = sandbox.sh("find . -type f -printf '%P ' -exec cat {} ';'").text
    return {path: f"{text}\n" for path, text in (line.split(" ", 1) for line in shown.splitlines())}


@pytest.fixture
def names() -> Iterator[list[str]]:
    """One workspace for each place at which the process dies."""
    stem = f"test-{secrets.token_hex(4)}"
    made = [f"{stem}-{number}" for number in range(1, len(PUTS))]
    yield made
    for name in made:
        places.delete_workspace(name)


def test_a_patch_that_was_torn_is_made_whole(backend, names, settings, request):
    for name in names:
        with opened(backend, name) as sandbox:
            sandbox.sh("mkdir src; " + "; ".join(f"echo {quote(text[:-1])} > {path}" for path, text in BEFORE.items()))
    script = DOOMED.format(puts=len(PUTS), name=names[0].rpartition("-")[0])
    with other_process(script, settings, **environment_of(backend, request)) as doomed:
        told = doomed.communicate()[0].decode().split()
    assert told == [str(-signal.SIGKILL)] * len(names)
    reaping.reap(backend)

    for done, name in enumerate(names, 1):
        with opened(backend, name) as sandbox:
            torn = files(sandbox)
            assert [path for path in PUTS if torn.get(path) != BEFORE.get(path)] == list(PUTS[:done])
            assert "has carried it out again" in apply(sandbox, again=True)
            assert files(sandbox) == AFTER
