"""What GitHub withholds from a personal token, remembered for an hour: to be refused counts as a request, too."""

from typing import Final

from django.core.cache import cache

from githubsync.models import Connection

REMEMBERED_S: Final = 3600


def check_runs_are(connection: Connection) -> bool:
    """Whether the connection's token was lately refused check runs, which it need not read."""
    return not connection.is_app and bool(cache.get(_key(connection)))


def check_runs(connection: Connection) -> None:
    """Remember that its token is refused check runs. Another token is asked for anew."""
    cache.set(_key(connection), True, REMEMBERED_S)


def _key(connection: Connection) -> str:
    return f"github-no-check-runs-{connection.pk}-{connection.token_set_at and connection.token_set_at.timestamp()}"
