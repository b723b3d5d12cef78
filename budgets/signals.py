"""News from the ledger. Sent after commit, with ``send_robust``: a listener that fails undoes nothing."""

from django.dispatch import Signal

limit_crossed = Signal()
"""A bucket passed its warn ratio, reached its limit, or saw a call that cost more than was set aside, for the first
time. Sent with ``alert`` (Alert)."""

limit_changed = Signal()
"""What an account may spend was changed by somebody. Sent with ``account`` (Account)."""

account_frozen = Signal()
"""Spending on an account was stopped. Sent with ``account`` (Account)."""

account_thawed = Signal()
"""Spending on an account was allowed again. Sent with ``account`` (Account)."""

hold_decided = Signal()
"""A person said what became of a lost call: what it held beyond that is free. Sent with ``decision`` (HoldDecision)."""

hold_overrun = Signal()
"""A call cost more than was set aside for it. Sent with ``usage`` (Usage)."""

bill_differs = Signal()
"""A provider billed something else than what is booked. Sent with ``reconciliation`` (Reconciliation)."""
