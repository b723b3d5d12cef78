"""News from the company. Sent after commit, with ``send_robust``: a listener that fails undoes nothing."""

from django.dispatch import Signal

issue_moved = Signal()
"""An issue changed status. Sent with ``transition`` (Transition, its ``task`` empty)."""

task_moved = Signal()
"""A task changed status. Sent with ``transition`` (Transition)."""

request_opened = Signal()
"""A person is needed. Sent with ``request`` (Request)."""

request_answered = Signal()
"""A person answered. Sent with ``request`` (Request)."""

pull_request_merged = Signal()
"""A pull request is in its base branch. Sent with ``pull_request`` (PullRequest)."""
