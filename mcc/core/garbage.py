"""How often a process that stays looks for unreachable objects, and among how many."""

import gc

MOST_NEW = 10_000
"""New objects after which unreachable ones are looked for; Python's own 700 suits short programs."""


def spare_imports() -> None:
    """Let the garbage collector leave alone what is there: it stays for good. Call it once all is set up.

    Looking through half a million objects again and again took a tenth of the time of each step of a run; and each
    time the web process stood still for 100 to 300 ms, with everybody who had asked it something.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(MOST_NEW)
