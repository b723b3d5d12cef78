"""The forge of a plain git repository on this machine: pull requests are MCC's own rows, merges are git's.

``Project.repository`` is a path or file:// URL, or an https URL that is copied once: from then on MCC's copy is
the repository, and merges land there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from pathlib import Path

from django.conf import settings

from agents.sandbox.places import workspaces_root
from mcc.core.errors import InvalidInput
from projects.forge import (
    Capabilities,
    CloneSpec,
    Forbidden,
    ForgeError,
    MergeMethod,
    MergeResult,
    NotFound,
    PullRef,
    RepoRef,
)
from projects.git.host import HostGit, Owner, directory
from projects.git.linked import HEADS, Linked, is_path, path_of
from projects.git.messages import names_head, with_head
from projects.git.mirror import Mirror
from projects.git.remote import branches_at, create_bare, default_branch_at, fetch_url
from projects.models import Project

LANDED_WITHIN = 50
"""How many commits back a retried merge looks for what it has landed."""


class LocalForge:
    """A ``Forge`` over a repository on this machine."""

    capabilities = Capabilities()

    def __init__(self, project: Project) -> None:
        self.project = project

    def repository(self) -> RepoRef:
        location = self.project.repository
        branch = _linked_at(location).current_branch() if is_path(location) else default_branch_at(CloneSpec(location))
        return RepoRef(location, Path(location).stem, location, branch or self.project.default_branch)

    def ensure_reachable(self) -> None:
        try:
            branches = self._branches_found()
        except ForgeError as refusal:
            raise InvalidInput(str(refusal), fields={"repository": [str(refusal)]}) from refusal
        if not branches:
            text = "This repository is empty: make a first commit, then try again."
            raise InvalidInput(text, fields={"repository": [text]})
        if self.project.default_branch not in branches:
            known = ", ".join(sorted(branches)[:10])
            text = f"There is no branch {self.project.default_branch}; there is {known}."
            raise InvalidInput(text, fields={"default_branch": [text]})

    def fetch_source(self, stop: threading.Event | None = None) -> CloneSpec:
        return CloneSpec(str(self._linked(stop).path))

    def head(self, branch: str) -> str:
        sha = self._linked().ref(HEADS + branch)
        if sha is None:
            raise NotFound(f"There is no branch {branch} in {self.project.repository}.")
        return sha

    def push_branch(self, branch: str, sha: str, expected_old: str | None) -> None:
        linked = self._linked()
        if linked.ref(HEADS + branch) != sha:
            self._bring(linked, branch, sha, expected_old)

    def delete_branch(self, branch: str) -> None:
        self._linked().delete_branch(branch)

    def open_pull(self, *, number: int, branch: str, base_branch: str, title: str, body: str, draft: bool) -> PullRef:
        return PullRef(number)

    def update_pull(
        self,
        pull: PullRef,
        *,
        title: str | None = None,
        body: str | None = None,
        draft: bool | None = None,
        closed: bool | None = None,
    ) -> PullRef:
        return pull

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
        linked, mirror = self._linked(), Mirror(self.project.pk)
        mirror.fetch_from(CloneSpec(str(linked.path)))
        base = self.head(base_branch)
        if landed := _landed(mirror, base, branch_sha):
            return MergeResult(landed)
        tree = mirror.merged_tree(branch_sha, base_branch=base_branch, base=base, expected=expected_base_sha)
        if tree is None:
            return MergeResult(base)
        parents = [base] if method == MergeMethod.SQUASH else [base, branch_sha]
        sha = mirror.commit_tree(tree, parents, with_head(message, branch_sha))
        mirror.pin(branch_sha)
        self._bring(linked, base_branch, sha, base)
        mirror.landed(base_branch, sha)
        return MergeResult(sha)

    def _bring(self, linked: Linked, branch: str, sha: str, old: str | None) -> None:
        Mirror(self.project.pk).send_to(linked, [sha], known=linked.refs(HEADS).values())
        linked.move_branch(branch, sha, old)

    def _linked(self, stop: threading.Event | None = None) -> Linked:
        """Return the repository that merges land in; a copy of a URL is made at the first call. Raises ForgeErrors."""
        location = self.project.repository
        if is_path(location):
            return _linked_at(location)
        path = directory("imported") / f"{self.project.pk}.git"
        with Mirror(self.project.pk).lock(stop):
            create_bare(HostGit(path, Owner.of_mirrors()))
            imported = Linked(path, path, None, stop)
            if not imported.refs(HEADS):
                fetch_url(imported.git, CloneSpec(location), f"{HEADS}*:{HEADS}*")
        return imported

    def _branches_found(self) -> set[str]:
        """Return the branches of a repository that MCC can work with. Raises ForgeErrors that say why not."""
        location = self.project.repository
        if not is_path(location):
            return set(branches_at(CloneSpec(location)))
        linked = self._linked()
        if os.geteuid() != 0 and not os.access(linked.git.git_dir / "objects", os.W_OK):
            raise Forbidden(f"MCC may read {linked.path} but not write to it, so it could not merge.")
        form, shallow = linked.git.text("rev-parse", "--show-object-format", "--is-shallow-repository").split()
        if form != "sha1":
            raise Forbidden(f"{linked.path} uses {form} object ids, which MCC does not support.")
        if shallow == "true":
            raise Forbidden(f"{linked.path} is a shallow clone: run `git fetch --unshallow` there first.")
        return set(linked.refs(HEADS))


def _linked_at(location: str) -> Linked:
    """Return the repository at a path. Raises NotFound, Forbidden.

    When the operator named the directories that repositories may be in, nothing is told about any other.
    """
    roots = [Path(root) for root in settings.MCC_LOCAL_REPOSITORY_ROOTS]
    if roots and not _is_below(location, roots):
        allowed = ", ".join(map(str, roots))
        raise Forbidden(f"There is no repository {location} below {allowed}, where MCC looks for them.")
    if _is_below(location, [workspaces_root()]):
        raise Forbidden(f"{location} is among MCC's own workspaces.")
    return Linked.at(location)


def _is_below(location: str, roots: Sequence[Path]) -> bool:
    try:
        path = path_of(location)
    except NotFound:
        return False
    return any(path.is_relative_to(root.resolve()) for root in roots)


def _landed(mirror: Mirror, base: str, branch_sha: str) -> str | None:
    """Return the commit by which an earlier call that was interrupted landed ``branch_sha``."""
    parted = mirror.merge_base(base, branch_sha) or ""
    since = mirror.log(base, base=parted, limit=LANDED_WITHIN)
    return next((commit.sha for commit in since if names_head(commit.body, branch_sha)), None)
