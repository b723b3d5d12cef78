"""News from the engine. Sent after commit, with ``send_robust``: a listener that fails undoes nothing."""

from django.dispatch import Signal

run_finished = Signal()
"""A run came to its outcome. Sent with ``run`` (Run)."""

run_waiting = Signal()
"""A run stopped to wait for somebody. Sent with ``run`` (Run); ``run.waits_for`` says for what."""

supply_changed = Signal()
"""A provider was suspended, checked or lifted, or the breaker of a model changed while open. Sent with nothing."""
