from django.contrib.auth.signals import user_logged_out
from django.dispatch import receiver

from mcc.core import live
from mcc.core.models import User


@receiver(user_logged_out, dispatch_uid="close_sockets_at_logout")
def close_sockets(user: User | None, **kwargs: object) -> None:
    """Close the open sockets of the session that ended."""
    if user is not None:
        live.recheck(user.pk)
