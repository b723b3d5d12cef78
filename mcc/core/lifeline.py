"""Children that do not outlive their parent."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1

# Loaded here and not in the child: between fork and exec only the simplest things are safe.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def die_with(parent: int, signum: signal.Signals) -> None:
    """Let the kernel send ``signum`` to this process when ``parent`` ends; end at once if it already has.

    Linux only, elsewhere nothing: there the pulse of each worker looks at its parent. The kernel watches
    the thread that forked, so parents fork from their main thread.
    """
    if _libc is None:
        return
    _libc.prctl(PR_SET_PDEATHSIG, signum)
    if os.getppid() != parent:
        os._exit(3)
