"""The 28 ways to have git execute something that a repository brings: none reaches the host, whatever MCC does."""

from contextlib import suppress

import pytest

from projects.git import Workspace
from projects.git.errors import WorkRefused, WorkspaceBroken

pytestmark = [pytest.mark.sandbox, pytest.mark.timeout(400)]

EVIL = """
[ "$(pwd)" = /workspace ] && [ -f .git/HEAD ] || exit 9
{ echo '#!/bin/sh'; echo "touch $CANARY 2>/dev/null; touch /workspace/.git/FIRED"; } > .git/evil
chmod +x .git/evil
e=/workspace/.git/evil
attributes() { echo "* $1" > .git/info/attributes; }
mkdir -p .git/hooks .git/info
"""
HOOKS = (
    "for h in pre-commit post-commit post-checkout post-index-change reference-transaction post-merge pre-push;"
    " do cp $e {}/$h; done"
)
CONFIGURATIONS = {
    "hooks": HOOKS.format(".git/hooks"),
    "core.hooksPath": "mkdir hk; " + HOOKS.format("hk") + "; git config core.hooksPath /workspace/hk",
    "core.fsmonitor": "git config core.fsmonitor $e",
    "core.sshCommand": "git config core.sshCommand $e; git config remote.origin.url ssh://x@y/z",
    "core.gitProxy": "git config core.gitProxy $e; git config remote.origin.url git://y/z",
    "an ext remote": 'git config remote.origin.url "ext::$e"; git config protocol.ext.allow always',
    "insteadOf": (
        'git config "url.ext::$e #.insteadOf" https://; git config protocol.ext.allow always;'
        " git config remote.origin.url https://example.org/x"
    ),
    "upload-pack and receive-pack": (
        "git config remote.origin.url /mcc/repo.git; git config remote.origin.uploadpack $e;"
        " git config remote.origin.receivepack $e"
    ),
    "filter.clean and smudge": (
        "git config filter.e.clean $e; git config filter.e.smudge $e; attributes filter=e; touch README.md"
    ),
    "filter.process": "git config filter.e.process $e; attributes filter=e; echo x >> README.md",
    "textconv": "git config diff.e.textconv $e; attributes diff=e; echo x >> README.md",
    "diff.external": "git config diff.external $e; echo x >> README.md",
    "diff.command": "git config diff.e.command $e; attributes diff=e; echo x >> README.md",
    "a merge driver": "git config merge.e.driver $e; attributes merge=e",
    "gpg.program to sign": "git config gpg.program $e; git config commit.gpgSign true; git config user.signingKey x",
    "gpg.program to verify": (
        "git config gpg.program $e; git config log.showSignature true;"
        " c=$(git cat-file commit HEAD | sed '/^committer/a gpgsig -----BEGIN PGP SIGNATURE-----\\n x'"
        " | git hash-object -t commit -w --stdin) && git update-ref HEAD $c"
    ),
    "core.alternateRefsCommand": "git config core.alternateRefsCommand $e",
    "a promisor": (
        'git config remote.origin.url "ext::$e"; git config protocol.ext.allow always;'
        " git config core.repositoryFormatVersion 1; git config extensions.partialClone origin;"
        " git config remote.origin.promisor true;"
        " rm -f .git/objects/info/alternates"
    ),
    "a submodule's own config": (
        "git init -q sub && git -C sub commit -q --allow-empty -m x && git -C sub config core.fsmonitor $e;"
        " touch sub/new; git add sub 2>/dev/null"
    ),
    "a bare repository inside": (
        "git init -q --bare lib && git --git-dir=lib config core.fsmonitor $e;"
        " git --git-dir=lib config core.bare false; git --git-dir=lib config core.worktree /workspace/lib; cd lib"
    ),
    "a .git that is a file": (
        "git config core.fsmonitor $e; mv .git real; sed -i s,/workspace/.git,/workspace/real,g real/evil;"
        " git config -f real/config core.fsmonitor /workspace/real/evil; echo 'gitdir: real' > .git"
    ),
    "include.path": "printf '[core]\\n fsmonitor = %s\\n' $e > inc; git config include.path ../inc",
    "config.worktree": (
        "git config extensions.worktreeConfig true; printf '[core]\\n fsmonitor = %s\\n' $e > .git/config.worktree"
    ),
    "trailer.cmd": "git config trailer.e.cmd $e; git config trailer.e.key E",
    "a credential helper": "git config credential.helper $e; git config remote.origin.url https://127.0.0.1:1/x",
    "editor and pager": "git config core.editor $e; git config core.pager $e; git config sequence.editor $e",
    "submodule update": "git config submodule.x.update !$e; git config submodule.x.url /mcc/repo.git",
    "gc.recentObjectsHook": "git config gc.recentObjectsHook $e",
}
NAIVE = """
exec 3>&1 >/dev/null 2>&1 </dev/null
export GIT_TERMINAL_PROMPT=0
naive() { timeout 1 git "$@"; }
echo y > new
naive status; naive diff; naive log -p -1; naive add -A; naive commit -m x; naive fetch; naive push
naive interpret-trailers --trailer E=x README.md; naive checkout -b other; naive gc -q; naive show-ref
naive cat-file -p 0000000000000000000000000000000000000007
git init -q /tmp/src && git -C /tmp/src commit -q --allow-empty -m src; naive fetch /tmp/src HEAD; rm -rf /tmp/src
[ ! -e /workspace/.git/FIRED -a ! -e /workspace/real/FIRED ] || echo fired >&3
"""
"""What somebody would do who does not know better, in the sandbox: it shows that the poison is one."""
NEVER_FIRE = {"a merge driver", "a credential helper", "editor and pager", "submodule update", "gc.recentObjectsHook"}
"""With these commands: the poison may be none, and what holds for the others is only repeated for them."""


def test_nothing_that_a_repository_configures_runs_on_the_host(backend, monkeypatch, mirror, place):
    monkeypatch.setattr("projects.git.workspace.backend", lambda: backend)
    canary, base = place / "canary", mirror.head("main")
    place.chmod(0o777)
    workspace = Workspace("evil", mirror)
    workspace.open(base, "mcc/evil")
    harmless = set()

    for name, poison in CONFIGURATIONS.items():
        workspace.reset(base)
        poisoned = workspace.sandbox.sh(f"{EVIL}\n{poison}\n{NAIVE}", env={"CANARY": str(canary)})
        assert poisoned.exit_code == 0, (name, poisoned)
        if "fired" not in poisoned.text:
            harmless.add(name)
        do_all_that_is_done_with_work(workspace, base)
        assert not canary.exists(), f"{name} ran on the host"
    workspace.discard()

    assert len(CONFIGURATIONS) == 28
    assert harmless <= NEVER_FIRE, "poison that is none proves nothing"


def do_all_that_is_done_with_work(workspace, base):
    """It may be refused; it may not execute anything."""
    for operation in (workspace.status, lambda: workspace.diff(base)):
        with suppress(WorkRefused, WorkspaceBroken):
            operation()
    with suppress(WorkRefused, WorkspaceBroken):
        sha = workspace.collect(base, "Evil")
        workspace.mirror.diff(base, sha)
        workspace.mirror.changed_files(base, sha)
        workspace.mirror.merge_tree(base, sha)
        workspace.reset(sha)
