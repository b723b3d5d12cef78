"""A GitHub Enterprise Server on this machine, for tests and for whoever has no GitHub at hand.

    /api/v3/...      REST, tokens with permissions, pages, ETags, rate limits, redirects after a rename
    /api/graphql     drafts, when a text was last changed, threads of reviews: what REST lacks
    /login/oauth    the page that asks a person, codes for tokens, refresh tokens
    /<owner>/<repository>.git    real git: bare repositories behind ``git http-backend``

Hooks of repositories and Apps are sent to other servers on this machine, signed, and can be sent again.

It keeps its state in memory and its repositories in a directory, answers on 127.0.0.1 only, and fails on request
(``simulator.faults``). Written after https://docs.github.com/rest; the tests hold every answer against GitHub's schema.
"""

from githubsync.simulator.faults import Fault
from githubsync.simulator.server import Exchange, Simulator
from githubsync.simulator.things import Account, Repo, Token

__all__ = ["Account", "Exchange", "Fault", "Repo", "Simulator", "Token"]
