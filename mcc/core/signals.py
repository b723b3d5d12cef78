from django.dispatch import Signal

errand_failed = Signal()
"""An errand was given up after its last attempt. Sent after commit, in a worker process, with ``errand``
(Errand)."""
