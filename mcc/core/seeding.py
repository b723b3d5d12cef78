"""The first rows of a new company. Every seed looks first and does nothing when its rows are there."""

import logging
import secrets
from collections.abc import Callable

from mcc.core.models import User

logger = logging.getLogger(__name__)

Seed = Callable[[], str | None]

_seeds: list[Seed] = []


def register(seed: Seed) -> Seed:
    """Have ``seed`` called at each ``manage.py up``, in the order of the floors. It may answer with news to
    print."""
    if seed not in _seeds:
        _seeds.append(seed)
    return seed


def sow() -> list[str]:
    """Run all seeds; return their news, as sentences for the operator. A seed that fails leaves the others alone."""
    news = []
    for seed in _seeds:
        try:
            sentence = seed()
        except Exception:
            # A company without a demo still works; one that does not start because of it does not.
            logger.exception("%s.%s failed", seed.__module__, seed.__name__)
            continue
        if sentence:
            news.append(sentence)
    return news


def admin_user() -> str | None:
    """Make the first administrator. The password is told once and kept only as its hash."""
    if User.objects.filter(is_superuser=True).exists() or User.objects.filter(username="admin").exists():
        return None
    password = secrets.token_urlsafe(12)
    User.objects.create_superuser("admin", password=password)
    return (
        f"Log in as  admin  with the password  {password}\n"
        "It is shown only now. Forgotten: .venv/bin/python manage.py changepassword admin"
    )
