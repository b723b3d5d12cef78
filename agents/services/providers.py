"""Providers of models: where they are, and the keys that they know us by."""

import re

from django.db import transaction
from django.utils import timezone

from agents.endpoint import Endpoint
from agents.models import Provider
from agents.services import suspensions
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User

KEY = re.compile(r"[!-~]{1,1000}")
"""What can stand in a header: printable ASCII without blanks."""


@transaction.atomic
def set_key(provider: Provider, api_key: str, *, user: User) -> None:
    """Store the key that ``provider`` knows us by, encrypted, in place of any other. The next call brings it.

    Raises InvalidInput.
    """
    if provider.kind == Provider.Kind.REHEARSAL:
        raise InvalidInput("A script needs no key.", fields={"api_key": ["A script needs no key."]})
    if not KEY.fullmatch(api_key := api_key.strip()):
        reason = "A key is one word of letters, digits and signs."
        raise InvalidInput(reason, fields={"api_key": [reason]})
    provider.api_key, provider.api_key_set_at = api_key, timezone.now()
    _save_key(provider, user)
    audit.record(user, "agents.set_key", f"agents.provider:{provider.pk}", {"name": provider.name})


@transaction.atomic
def remove_key(provider: Provider, *, user: User) -> None:
    """Forget the stored key. Then the one in the environment counts, if there is any."""
    provider.api_key, provider.api_key_set_at = "", None
    _save_key(provider, user)
    left = Endpoint.of(provider).key_source
    audit.record(
        user, "agents.remove_key", f"agents.provider:{provider.pk}", {"name": provider.name, "left": left.value}
    )


def _save_key(provider: Provider, user: User) -> None:
    """Store the change. If another key was missing, whoever waits for the provider goes on."""
    provider.save(update_fields=["api_key", "api_key_set_at"])
    provider.note_change()
    suspensions.lift(provider, user=user)
