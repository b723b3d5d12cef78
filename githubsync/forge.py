"""The forge of a project on GitHub: branches by git, pull requests by REST, merges by GitHub itself.

GitHub checks the head of a pull request when it merges, not its base. Of MCC's own merges one is at work at a time for
each project, and the base is looked at right before; against people who push in that very moment only GitHub's own rule
"branches must be up to date" helps. Renames are harmless: requests go by the repository's number, and git's address,
known from a while ago, is asked anew when nothing is there (``services.naming``).
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import cached_property
from typing import Any

from githubsync import access, required, wording
from githubsync.client import Client, Rejected
from githubsync.models import Repository
from githubsync.services import branch_rules, naming
from mcc.core.errors import InvalidInput
from projects.forge import (
    Awaited,
    Capabilities,
    CloneSpec,
    Conflict,
    ForgeError,
    InTheWay,
    MergeMethod,
    MergeResult,
    NotFound,
    PullRef,
    RepoRef,
    StillChecked,
    Unavailable,
)
from projects.git import Mirror
from projects.git.host import directory
from projects.git.lock import FileLock
from projects.git.remote import push_url
from projects.models import Project
from projects.wording import quiet

MERGE_WAIT_S = 120


class GitHubForge:
    """A ``Forge`` over a repository that was linked to the project."""

    capabilities = Capabilities(hosts_pulls=True, reports_checks=True)

    def __init__(self, project: Project) -> None:
        self.project = project

    @cached_property
    def linked(self) -> Repository:
        """The repository of this project. Raises NotFound."""
        rows = Repository.objects.select_related("connection")
        if self.project.pk:
            row = rows.filter(project=self.project.pk).first()
        else:  # it is being founded on a repository that was just linked
            row = next((row for row in rows.filter(project=None) if row.html_url == self.project.repository), None)
        if row is None:
            raise NotFound("This project is linked to no repository on GitHub.")
        return row

    @property
    def _root(self) -> str:
        return f"/repositories/{self.linked.github_id}"

    def _client(self) -> Client:
        return access.to(self.linked)

    def repository(self) -> RepoRef:
        access.learn_name(row := self.linked)
        return RepoRef(str(row.github_id), row.full_name, row.html_url, row.default_branch)

    def ensure_reachable(self) -> None:
        try:
            with self._client() as client:
                facts = access.refresh(client, self.linked)
        except ForgeError as refusal:
            raise _not_like_this("repository", str(refusal)) from refusal
        if facts["archived"]:
            raise _not_like_this("repository", f"{self.linked} is archived: nothing can be written there.")
        if not access.may_write(self.linked.connection, facts):
            text = f"The connection {self.linked.connection} may read {self.linked} but not write to it."
            raise _not_like_this("repository", text)
        try:
            self.head(self.project.default_branch)
        except ForgeError as refusal:
            raise _not_like_this("default_branch", str(refusal)) from refusal

    def fetch_source(self, stop: threading.Event | None = None) -> CloneSpec:
        if not naming.is_known(self.linked):
            access.learn_name(self.linked)
        return access.clone_spec(self.linked)

    def head(self, branch: str) -> str:
        with self._client() as client:
            return self._head(client, branch)

    def _head(self, client: Client, branch: str) -> str:
        try:
            sha: str = client.get(f"{self._root}/git/ref/heads/{branch}")["object"]["sha"]
        except NotFound:
            raise NotFound(f"There is no branch {branch} in {self.linked}.") from None
        return sha

    def push_branch(self, branch: str, sha: str, expected_old: str | None) -> None:
        target = self.fetch_source()
        try:
            push_url(Mirror(self.project.pk).git, target, branch, sha, expected_old)
        except (Conflict, Unavailable) as failure:
            # A push whose answer was lost may have arrived, and what it brings may have been there before.
            with suppress(ForgeError):
                if self.head(branch) == sha:
                    return
            raise failure

    def delete_branch(self, branch: str) -> None:
        with self._client() as client:
            try:
                client.write("DELETE", f"{self._root}/git/refs/heads/{branch}", {})
            except NotFound:
                pass
            except Rejected as rejected:
                if not rejected.says("does not exist"):
                    raise

    def open_pull(self, *, number: int, branch: str, base_branch: str, title: str, body: str, draft: bool) -> PullRef:
        """GitHub gives a number of its own. A branch has one open pull request, so a lost answer is found again."""
        with self._client() as client:
            found = self._open_pull_of(client, branch)
            if found is None:
                wanted = {
                    "head": branch,
                    "base": base_branch,
                    "title": quiet(title),
                    "body": wording.quiet(body),
                    "draft": draft,
                }
                found = self._create_pull(client, wanted)
        return _ref(found)

    def _open_pull_of(self, client: Client, branch: str) -> dict[str, Any] | None:
        owner = self.linked.full_name.partition("/")[0]
        found = client.get(f"{self._root}/pulls", head=f"{owner}:{branch}", state="open")
        return next((pull for pull in found if pull["head"]["ref"] == branch), None)

    def _create_pull(self, client: Client, wanted: dict[str, object]) -> dict[str, Any]:
        try:
            made: dict[str, Any] = client.write("POST", f"{self._root}/pulls", wanted)
        except Rejected as rejected:
            if wanted["draft"] and rejected.says("draft pull requests are not supported"):
                return self._create_pull(client, {**wanted, "draft": False})
            if not rejected.says("already exists"):
                raise
            access.refresh(client, self.linked)  # its owner is called otherwise, or somebody was faster
            again = self._open_pull_of(client, str(wanted["head"]))
            if again is None:
                raise
            return again
        return made

    def update_pull(
        self,
        pull: PullRef,
        *,
        title: str | None = None,
        body: str | None = None,
        draft: bool | None = None,
        closed: bool | None = None,
    ) -> PullRef:
        state = None if closed is None else "closed" if closed else "open"
        changes = {
            "title": None if title is None else quiet(title),
            "body": None if body is None else wording.quiet(body),
            "state": state,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        where = f"{self._root}/pulls/{pull.number}"
        with self._client() as client:
            now = client.write("PATCH", where, given) if given else client.get(where)
            if draft is not None and now["draft"] != draft and now["state"] == "open":
                self._set_draft(client, now, draft)
        return _ref(now)

    def _set_draft(self, client: Client, pull: dict[str, Any], draft: bool) -> None:
        name = "convertPullRequestToDraft" if draft else "markPullRequestReadyForReview"
        client.mutate(name, pullRequestId=pull["node_id"])

    def merge(
        self,
        branch_sha: str,
        *,
        base_branch: str,
        expected_base_sha: str,
        message: str,
        method: MergeMethod = MergeMethod.SQUASH,
        pull: PullRef | None = None,
    ) -> MergeResult:
        """Needs ``pull``, unless there is nothing to merge."""
        mirror = Mirror(self.project.pk)
        lock = FileLock(directory("locks") / f"merge-{self.project.pk}", wait_s=MERGE_WAIT_S)
        with lock, self._client() as client:
            found = client.get(f"{self._root}/pulls/{pull.number}") if pull else None
            if found and found["merged"]:
                return MergeResult(found["merge_commit_sha"])
            if found and (target := found["base"]["ref"]) != base_branch:
                raise InTheWay(f"#{found['number']} goes into {target} on GitHub, not into {base_branch}.")
            mirror.fetch_from(self.fetch_source())
            base = mirror.branches().get(base_branch)
            if base is None:
                raise NotFound(f"There is no branch {base_branch} in {self.linked}.")
            if mirror.is_ancestor(branch_sha, base):
                return MergeResult(base)
            tree = mirror.merged_tree(branch_sha, base_branch=base_branch, base=base, expected=expected_base_sha)
            if tree is None:
                return MergeResult(base)
            if found is None:
                raise Conflict("There is no pull request to merge.")
            if found["draft"]:
                self._set_draft(client, found, draft=False)
            self._ensure_through(client, base_branch, branch_sha)
            if (now := self._head(client, base_branch)) != base:
                raise Conflict(f"{base_branch} moved on from {base[:12]} to {now[:12]}.")
            sha = self._land(client, found["number"], branch_sha, message, method)
        with suppress(ForgeError):
            mirror.fetch_from(access.clone_spec(self.linked))
        return MergeResult(sha)

    def _ensure_through(self, client: Client, branch: str, sha: str) -> None:
        """Ask what the rules want of ``sha`` before it is tried: GitHub need not refuse. Raises StillChecked."""
        rules = branch_rules.wanted(branch_rules.of(client, self.linked, branch))
        if required.unfinished(client, self._root, rules, sha) and (lacking := self._lacking(client, branch, sha)):
            raise StillChecked(lacking)

    def _lacking(self, client: Client, branch: str, sha: str) -> list[Awaited]:
        """Return the checks that the rules want by now and that are not through for ``sha``."""
        rules = branch_rules.wanted(branch_rules.of(client, self.linked, branch, afresh=True))
        return required.unfinished(client, self._root, rules, sha)

    def _land(self, client: Client, number: int, sha: str, message: str, method: MergeMethod) -> str:
        """Merge if the head is still ``sha``. An answer that was lost is looked for."""
        where = f"{self._root}/pulls/{number}"
        title, _, rest = message.partition("\n")
        said = {"commit_title": wording.commit_title(title), "commit_message": quiet(rest.strip("\n"))}
        wanted = {"sha": sha, "merge_method": method.value, **said}
        try:
            landed: str = client.write("PUT", f"{where}/merge", wanted)["sha"]
        except Unavailable:
            after = client.get(where)
            if not after["merged"]:
                raise
            landed = after["merge_commit_sha"]
        except Rejected as rejected:
            after = client.get(where)
            if after["head"]["sha"] != sha:
                raise InTheWay(f"Somebody pushed to the branch: it is at {after['head']['sha'][:12]}.") from rejected
            if rejected.status != 405:
                raise
            if after["mergeable"] is None:
                raise Unavailable("GitHub has not worked out yet whether this can be merged.") from rejected
            if waits_for := self._lacking(client, after["base"]["ref"], sha):
                raise StillChecked(waits_for) from rejected
            raise InTheWay(f"{rejected.detail} GitHub's own rules for this repository decide.") from rejected
        return landed


def _not_like_this(field: str, text: str) -> InvalidInput:
    return InvalidInput(text, fields={field: [text]})


def _ref(pull: dict[str, Any]) -> PullRef:
    return PullRef(pull["number"], pull["html_url"])
