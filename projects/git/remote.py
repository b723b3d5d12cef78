"""Repositories that are reached over the network: fetched from and pushed to, with a token that only git sees."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from agents.sandbox.places import own_directory
from projects.forge import CloneSpec, Conflict, Forbidden, NotFound
from projects.git.host import LONG, GitFailed, HostGit, Limits, Owner

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
ASKING = Limits(wall_s=30)
PUSHING = replace(LONG, wall_s=180)
"""For the commits of a task. Git (2.39) waits for ever when half the answer to a push says that it is whole."""
OLD_FAULTS = tuple(
    f"fetch.fsck.{fault}=ignore"
    for fault in (
        "badTimezone",
        "badDateOverflow",
        "missingEmail",
        "missingNameBeforeEmail",
        "missingSpaceBeforeDate",
        "missingSpaceBeforeEmail",
        "zeroPaddedDate",
        "zeroPaddedFilemode",
    )
)
"""Harmless faults that old tools left in the history of well-known repositories, which could not be fetched else."""


def create_bare(git: HostGit) -> None:
    """Make the bare repository of ``git`` on disk when it is not there yet."""
    if (git.git_dir / "objects" / "info").exists():  # what ``git init`` makes last
        return
    own_directory(git.git_dir, mode=0o700, uid=git.owner.uid)
    git.run("init", "-q", "--bare", "--template=", "-b", "main")


def _allowed_protocol(url: str) -> str:
    """Return the protocol by which ``url`` may be fetched: https, and http on this machine. Raises Forbidden."""
    parts = urlsplit(url)
    if parts.username or parts.password:
        raise Forbidden("The address holds a user name or a password: leave it out, it would be seen by others.")
    if parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK):
        return parts.scheme
    raise Forbidden(f"MCC fetches over https, not from {parts.scheme or 'this address'}.")


def fetch_url(git: HostGit, source: CloneSpec, refspec: str) -> None:
    """Fetch ``refspec`` over the network into the repository of ``git``. Raises ForgeErrors."""
    options = ("-q", "--prune", "--no-tags", "--no-write-fetch-head")
    _where_it_is(source, lambda there: _talk(git, there, ("fetch", *options, "--", there.url, refspec), LONG))


def push_url(git: HostGit, target: CloneSpec, branch: str, sha: str, expected_old: str | None) -> None:
    """Let ``branch`` at ``target`` point at ``sha`` if it points at ``expected_old`` (None: does not exist) now.

    Raises Conflict when it does not, and other ForgeErrors. What is there already is left alone.
    """
    options = ("-q", "--no-verify", f"--force-with-lease=refs/heads/{branch}:{expected_old or ''}")
    what = f"{sha}:refs/heads/{branch}"
    _where_it_is(target, lambda there: _talk(git, there, ("push", *options, "--", there.url, what), PUSHING))


def _where_it_is(source: CloneSpec, talk: Callable[[CloneSpec], object]) -> None:
    """``talk`` to where the repository was, and once more to where it is by now when it is not there any more.

    Whoever is asked may also know better why it is refused.
    """
    try:
        talk(source)
    except (NotFound, Forbidden):
        if source.asked_anew is None or (now := source.asked_anew()).url == source.url:
            raise
        talk(now)


def _nowhere() -> HostGit:
    return HostGit(Path("/nonexistent"), Owner.of_mirrors())


def branches_at(source: CloneSpec) -> list[str]:
    """Return the names of the branches that a server offers. Raises ForgeErrors."""
    lines = _talk(_nowhere(), source, ("ls-remote", "--heads", "--", source.url), ASKING).splitlines()
    return [line.partition("\trefs/heads/")[2] for line in lines]


def default_branch_at(source: CloneSpec) -> str:
    """Return the branch that the server's HEAD names, "" when it does not say. Raises ForgeErrors."""
    answer = _talk(_nowhere(), source, ("ls-remote", "--symref", "--", source.url, "HEAD"), ASKING)
    found = re.match(r"ref: refs/heads/(.+)\tHEAD", answer)
    return found.group(1) if found else ""


def _talk(git: HostGit, source: CloneSpec, args: tuple[str, ...], limits: Limits) -> str:
    """Run a command that speaks to a server. The token in ``source.env`` is in no argument list and no config."""
    allow = f"protocol.{_allowed_protocol(source.url)}.allow=always"
    try:
        online = replace(git, overrides=(allow, *OLD_FAULTS))
        answer = online.run(*args, env=source.env, limits=limits)
    except GitFailed as failure:
        raise _explained(failure, "write to" if args[0] == "push" else "read") from failure
    return answer.text


def _explained(failure: GitFailed, verb: str) -> NotFound | Forbidden | Conflict | GitFailed:
    """Return what a failed conversation with a server means."""
    said = failure.error.lower()
    if "(stale info)" in said or "(fetch first)" in said or "cannot lock ref" in said:
        return Conflict("Somebody else moved the branch.")
    if "remote rejected" in said:
        return Forbidden(f"The server refuses this push: {_of_server(failure.error)}")
    if "authentication failed" in said or "could not read username" in said or "error: 403" in said:
        return Forbidden(f"The server does not let MCC {verb} this repository.")
    if "not found" in said or "error: 301" in said:
        return NotFound("The server knows no such repository.")
    return failure


def _of_server(error: str) -> str:
    """Return what the server itself said, without git's own lines."""
    lines = [line.removeprefix("remote:").strip() for line in error.splitlines() if line.startswith("remote:")]
    rejected = re.search(r"\[remote rejected\].*?\((.+)\)", error)
    return " ".join(filter(None, [*lines, rejected[1] if rejected else ""]))[:500]
