"""Git's way to a repository on GitHub: an address without a secret, and the secret in git's environment."""

import base64

from githubsync.models import Connection, Repository
from mcc.core import redaction
from mcc.core.encryption import Undecipherable
from projects.forge import CloneSpec, Forbidden


def clone_spec(repository: Repository) -> CloneSpec:
    """Return where git fetches from and pushes to. Raises Forbidden when the token cannot be read.

    The address is built from the connection's own host, never taken from an answer, and the header is bound to that
    host: whatever a server says, the token goes nowhere else.
    """
    connection = repository.connection
    return CloneSpec(f"{repository.html_url}.git", git_environment(connection))


def git_environment(connection: Connection) -> dict[str, str]:
    """Return the environment that lets git in. It is in no argument list, no file and no address."""
    try:
        token = connection.token.reveal()
    except Undecipherable as error:
        raise Forbidden(f"The token of {connection} cannot be decrypted: {error}.") from None
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    redaction.register(basic)
    environment = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{connection.web_url}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }
    return environment | ({"GIT_SSL_CAINFO": connection.ca_file} if connection.ca_file else {})
