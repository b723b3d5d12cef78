"""Who comes in by GitHub: people who are known here by their number there, and people who were invited by it.

Names and e-mail addresses open nothing: a name may pass to somebody else, and an address only says where mail goes. So
an account that exists here is connected by whoever is logged in to it, or by an administrator's invitation for it.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from django.db import transaction
from django.utils import timezone

from githubsync.models import Connection, Identity, Invitation
from githubsync.oauth import Account, Flow, Grant
from githubsync.services import invitations, user_tokens
from mcc.core import audit
from mcc.core.errors import DomainError, InvalidInput
from mcc.core.models import User
from projects.forge import ForgeError

logger = logging.getLogger(__name__)


class NotInvited(DomainError):
    """Nobody here knows the account. ``login`` is what GitHub calls it."""

    code = "not_invited"
    http_status = 403

    def __init__(self, login: str) -> None:
        super().__init__(f"{login} on GitHub is not invited to this Mission Control.")
        self.login = login


class SwitchedOff(DomainError):
    """The person is known, and an administrator closed their account."""

    code = "switched_off"
    http_status = 403


def admit(flow: Flow, grant: Grant) -> Identity:
    """Return who the owner of a new token is here, and keep it. Raises NotInvited, SwitchedOff, ForgeErrors."""
    return _kept(flow, grant, partial(_admitted, flow.connection))


def link(flow: Flow, grant: Grant, *, user: User) -> Identity:
    """Connect the owner of a new token with ``user``, who is logged in. Raises InvalidInput, ForgeErrors."""
    return _kept(flow, grant, partial(_linked, flow.connection, user))


def unlink(identity: Identity, *, user: User) -> bool:
    """Let nobody sign in by ``identity`` any more; return whether GitHub ended its tokens.

    Raises InvalidInput when its owner had no other way in.
    """
    if not identity.user.has_usable_password():
        raise InvalidInput("Set a password first: without GitHub you could not come in any more.")
    ended = user_tokens.forget(identity)
    with transaction.atomic():
        audit.record(user, "github.unlink_identity", f"core.user:{identity.user_id}", _named(identity))
        identity.delete()
    return ended


def _kept(flow: Flow, grant: Grant, recognise: Callable[[Account], Identity]) -> Identity:
    """Return what ``recognise`` makes of the owner of ``grant``, who keeps it; nobody else's is kept."""
    try:
        account = flow.who(grant)
        with transaction.atomic():
            identity = recognise(account)
            user_tokens.keep(identity, flow, grant)
        return identity
    except Exception:
        with suppress(ForgeError):
            flow.end(grant)
        raise


def _admitted(connection: Connection, account: Account) -> Identity:
    identity = _known(connection, account) or _accepted(connection, account)
    if not identity.user.is_active:
        raise SwitchedOff("Your account here is switched off. An administrator can open it again.")
    identity.login, identity.signed_in_at = account.login, timezone.now()
    identity.save(update_fields=["login", "signed_in_at"])
    logger.info("user %s signs in by GitHub", identity.user_id)
    return identity


def _linked(connection: Connection, user: User, account: Account) -> Identity:
    User.objects.select_for_update().get(pk=user.pk)
    identity = _known(connection, account)
    if identity is None:
        identity = _join(connection, account, user)
        for invitation in Invitation.objects.filter(server=connection.web_url, github_id=account.github_id):
            invitations.use_up(invitation, user)
        audit.record(user, "github.link_identity", f"core.user:{user.pk}", _named(account))
    elif identity.user_id != user.pk:
        raise InvalidInput(f"{account.login} on GitHub is connected to somebody else's account here.")
    return identity


def _known(connection: Connection, account: Account) -> Identity | None:
    known = Identity.objects.filter(server=connection.web_url, github_id=account.github_id)
    return known.select_related("user").first()


def _accepted(connection: Connection, account: Account) -> Identity:
    """Use the invitation up. Raises NotInvited."""
    invited = Invitation.objects.filter(server=connection.web_url, github_id=account.github_id)
    invitation = invited.select_for_update(of=("self",)).select_related("user").first()
    if invitation is None:
        # Two clicks of one person: the other one was quicker.
        if known := _known(connection, account):
            return known
        logger.warning("account %s of connection %s is not invited", account.github_id, connection.pk)
        raise NotInvited(account.login)
    user = invitation.user or _newcomer(account)
    identity = _join(connection, account, user)
    invitations.use_up(invitation, user)
    audit.record(user, "github.accept_invitation", f"core.user:{user.pk}", _named(account))
    return identity


def _join(connection: Connection, account: Account, user: User) -> Identity:
    server = connection.web_url
    if other := Identity.objects.filter(server=server, user=user).first():
        raise InvalidInput(f"This account is connected to {other.login} on GitHub already. Disconnect that first.")
    return Identity.objects.create(server=server, user=user, github_id=account.github_id, login=account.login)


def _newcomer(account: Account) -> User:
    """Make an account without a password. An address that somebody else here has is left out: mail would tell them."""
    first, _, last = account.name.partition(" ")
    free = not User.objects.filter(email__iexact=account.email).exists()
    user = User(username=_free_name(account.login), first_name=first, last_name=last)
    user.email = account.email if free else ""
    user.set_unusable_password()
    user.save()
    return user


def _free_name(login: str) -> str:
    taken = {
        name.lower() for name in User.objects.filter(username__istartswith=login).values_list("username", flat=True)
    }
    names = (f"{login}-{number}" if number else login for number in range(len(taken) + 1))
    return next(name for name in names if name.lower() not in taken)


def _named(account: Account | Identity) -> dict[str, object]:
    return {"github_id": account.github_id, "login": account.login}
