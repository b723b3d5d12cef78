"""As whom a request goes in that is not PyGithub's."""

import requests
from requests.auth import AuthBase


class Bearer(AuthBase):
    """The token in its header; without one, nobody.

    A request that is given no way in, or one as a header, would get that of a ``.netrc`` of this machine.
    """

    def __init__(self, token: str = "") -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request
