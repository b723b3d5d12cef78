"""The end of the log of a job of GitHub Actions.

GitHub answers with a redirect to a store elsewhere, whose address is its own permission for a minute. So the token
stays with GitHub: the store is asked without it and followed to nowhere else. Of the log only the end is kept.
"""

import re
import time
from typing import Final
from urllib.parse import urlsplit

import requests

from githubsync.bearer import Bearer
from githubsync.client import AGENT, TIMEOUT_S, Client
from githubsync.models import Connection
from mcc.core import redaction
from projects.forge import Unavailable
from projects.git.remote import LOOPBACK

END_BYTES: Final = 64 * 1024
MOST_BYTES: Final = 32 * 1024 * 1024
"""Read of a store that sends the whole in spite of what was asked for."""
LONGEST_S: Final = 30
KEPT_CHARACTERS: Final = 3_000
_NOISE: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|^\ufeff?\d{4}-\d\d-\d\dT[\d:.]+Z ?|^##\[(?:end)?group\]", re.M)
_ERROR: Final = "##[error]"


def end_of(client: Client, root: str, job_id: int) -> str:
    """Return what the job said last, up to its last error, without secrets; ``root`` is of its repository.

    Two requests, seconds. Raises ForgeErrors: Forbidden without "Actions: read", NotFound when the log is gone.
    """
    place = client.place(f"{root}/actions/jobs/{job_id}/logs")
    data = _end(place, client.connection)
    text = redaction.redact(_NOISE.sub("", data.decode(errors="replace").replace("\0", "\ufffd").replace("\r", "")))
    # Below the last error there is only tidying up.
    at = text.rfind(_ERROR)
    if at >= 0:
        line_end = text.find("\n", at)
        text = text[:line_end] if line_end >= 0 else text
    return text.strip()[-KEPT_CHARACTERS:]


def _end(place: str, connection: Connection) -> bytes:
    """Return the last bytes of what is at ``place``. Raises Unavailable."""
    if not _is_safe(place, connection):
        raise Unavailable("GitHub sends us to a place for the log where MCC does not go.", permanent=True)
    wanted = {"Range": f"bytes=-{END_BYTES}", "Accept-Encoding": "identity", "User-Agent": AGENT}
    end, until, read = b"", time.monotonic() + LONGEST_S, 0
    try:
        with requests.get(
            place,
            headers=wanted,
            auth=Bearer(),
            stream=True,
            allow_redirects=False,
            timeout=TIMEOUT_S,
            verify=connection.certificates,
        ) as answer:
            if answer.status_code not in (200, 206):
                raise Unavailable(f"The store of the log answered {answer.status_code}.")
            for chunk in answer.iter_content(END_BYTES):
                end, read = (end + chunk)[-END_BYTES:], read + len(chunk)
                if read > MOST_BYTES or time.monotonic() > until:
                    break
    except (requests.RequestException, OSError) as error:
        raise Unavailable(f"The log could not be fetched: {type(error).__name__}.") from None
    return end


def _is_safe(place: str, connection: Connection) -> bool:
    """Whether it is https, or on this machine where GitHub is (as in tests)."""
    try:
        there, own = urlsplit(place), urlsplit(connection.api_url)
    except ValueError:
        return False
    local = {there.hostname, own.hostname} <= LOOPBACK and (there.scheme, own.scheme) == ("http", "http")
    return bool(there.hostname) and (there.scheme == "https" or local) and not there.username
