"""Providers of models: where they are, and the keys that they know us by."""

import re
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.core.validators import validate_slug
from django.db import transaction
from django.utils import timezone

from agents.endpoint import Endpoint
from agents.models import Provider
from agents.services import suspensions
from mcc.core import audit
from mcc.core.errors import InvalidInput
from mcc.core.models import User

CHANGEABLE = ("base_url", "active")
KEY = re.compile(r"[!-~]{1,1000}")
"""What can stand in a header: printable ASCII without blanks."""


@transaction.atomic
def add(*, name: str, kind: Provider.Kind, base_url: str, api_key: str = "", user: User) -> Provider:
    """Return a new provider. It has no models before `catalogue.refresh`. Raises InvalidInput."""
    provider = Provider(name=name, kind=kind, base_url=base_url)
    if kind == Provider.Kind.REHEARSAL:
        raise InvalidInput("There is one rehearsal.", fields={"kind": ["There is one rehearsal."]})
    _validate(provider)
    provider.save()
    detail = {"name": name, "kind": provider.kind, "base_url": base_url}
    audit.record(user, "agents.add_provider", f"agents.provider:{provider.pk}", detail)
    if api_key:
        set_key(provider, api_key, user=user)
    return provider


@transaction.atomic
def change(
    provider: Provider, *, user: User, base_url: str | None = None, active: bool | None = None, api_key: str = ""
) -> None:
    """Change what is given; the next call of every run goes by it. Raises InvalidInput.

    A stored key goes only to the server that it was entered for, so it is entered again for another one. Where the
    environment says the key, it says the address too.
    """
    row = Provider.objects.select_for_update().get(pk=provider.pk)
    provider.base_url = row.base_url if base_url is None else base_url
    provider.active = row.active if active is None else active
    if provider.base_url != row.base_url:
        _require_own_address(row, provider.base_url, api_key)
        _validate(provider)
    changed = {
        name: [getattr(row, name), getattr(provider, name)]
        for name in CHANGEABLE
        if getattr(row, name) != getattr(provider, name)
    }
    if changed:
        provider.save(update_fields=list(changed))
        provider.note_change()
        suspensions.lift(provider, user=user)
        audit.record(user, "agents.change_provider", f"agents.provider:{provider.pk}", {"name": row.name, **changed})
    if api_key:
        set_key(provider, api_key, user=user)


@transaction.atomic
def set_key(provider: Provider, api_key: str, *, user: User) -> None:
    """Store the key that ``provider`` knows us by, encrypted, in place of any other. The next call brings it.

    Raises InvalidInput.
    """
    if provider.kind == Provider.Kind.REHEARSAL:
        raise InvalidInput("A script needs no key.", fields={"api_key": ["A script needs no key."]})
    provider.api_key, provider.api_key_set_at = _one_word(api_key, "api_key"), timezone.now()
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


@transaction.atomic
def set_management_key(provider: Provider, key: str, *, user: User) -> None:
    """Store the key that reads ``provider``'s bills and limits our API key there, encrypted. Empty: forget it.

    Raises InvalidInput.
    """
    if provider.kind != Provider.Kind.OPENROUTER:
        reason = "Only OpenRouter has management keys."
        raise InvalidInput(reason, fields={"management_key": [reason]})
    provider.management_key = _one_word(key, "management_key") if key else ""
    provider.management_key_set_at = timezone.now() if key else None
    provider.save(update_fields=["management_key", "management_key_set_at"])
    action = "agents.set_management_key" if key else "agents.remove_management_key"
    audit.record(user, action, f"agents.provider:{provider.pk}", {"name": provider.name})


def _one_word(key: str, field: str) -> str:
    """Return ``key`` without blanks around it, if it can stand in a header. Raises InvalidInput."""
    if not KEY.fullmatch(key := key.strip()):
        reason = "A key is one word of letters, digits and signs."
        raise InvalidInput(reason, fields={field: [reason]})
    return key


def _save_key(provider: Provider, user: User) -> None:
    """Store the change. If another key was missing, whoever waits for the provider goes on."""
    provider.save(update_fields=["api_key", "api_key_set_at"])
    provider.note_change()
    suspensions.lift(provider, user=user)


def _require_own_address(row: Provider, base_url: str, api_key: str) -> None:
    """Refuse to send a key to a server that it was not given for: that would be a way to read it."""
    if row.kind == Provider.Kind.REHEARSAL:
        raise InvalidInput("A script has no address.", fields={"base_url": ["A script has no address."]})
    if Endpoint.of(row).has_key_of_environment:
        reason = f"The environment says where {row} is, as long as {row.key_setting} is set there."
        raise InvalidInput(reason, fields={"base_url": [reason]})
    if row.api_key and not api_key and _origin(row.base_url) != _origin(base_url):
        reason = f"The stored key is for {_origin(row.base_url)}. Enter the one for the new address."
        raise InvalidInput(reason, fields={"api_key": [reason]})
    if row.management_key and _origin(row.base_url) != _origin(base_url):
        reason = f"The management key is for {_origin(row.base_url)}. Forget it first."
        raise InvalidInput(reason, fields={"base_url": [reason]})


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _validate(provider: Provider) -> None:
    try:
        validate_slug(provider.name)
    except ValidationError as error:
        raise InvalidInput("The name is not usable.", fields={"name": error.messages}) from None
    try:
        provider.full_clean()
    except ValidationError as error:
        raise InvalidInput("The provider cannot be like this.", fields=error.message_dict) from None
    if not provider.base_url:
        raise InvalidInput("The address is missing.", fields={"base_url": ["The address is missing."]})
