"""How people get in: an administrator makes the accounts."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class ClosedSignup(DefaultAccountAdapter):
    """Strangers cannot make an account: what agents do here costs money."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False
