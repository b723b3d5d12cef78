"""What a project needs is installed once, with a network of its own, and is there for everybody without one."""

import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from statistics import median

import pytest
from django.utils import timezone

from agents.errors import NotReady
from agents.sandbox import places
from agents.sandbox.errors import SandboxUnavailable
from agents.sandbox.types import Sandbox
from agents.tests.sandbox.world import World
from mcc.core.errands import Later, Lease
from mcc.core.models import Errand
from projects import errands, setup_files
from projects.git import Mirror, Workspace
from projects.models import Check, Project, Setup, Task
from projects.services import checks, handing_in, projects, setups
from projects.tests import factories
from projects.tests.repositories import PersonsRepository, atlas, place

__all__ = ["atlas", "place"]

pytestmark = [pytest.mark.django_db, pytest.mark.sandbox]

MAKE = "mkdir -p tool/bin web/node_modules/greet && cp lock.txt tool/version && printf 'echo hi' > tool/bin/hi"
LIBRARY = "; echo 'module.exports = \"hi\"' > web/node_modules/greet/index.js"


@pytest.fixture
def project(atlas: PersonsRepository) -> Project:
    atlas.commit({"lock.txt": "1\n", "web/package.json": "{}\n", ".gitignore": "tool/\nnode_modules/\n"})
    row = factories.project(
        repository=str(atlas.path), setup_command=MAKE + LIBRARY, setup_files=["lock.txt"], merge_needs_approval=False
    )
    Mirror(row.pk).fetch()
    return row


def carry_out() -> Setup:
    """Let a worker make the set-up that is ordered, and return it."""
    errand = Errand.objects.get(kind=setups.ERRAND, status="queued")
    Errand.objects.filter(pk=errand.pk).update(status="running", lease_epoch=1)
    errands.set_up(errand.subject, Lease(errand.pk, 1))
    Errand.objects.filter(pk=errand.pk).update(status="done")
    return Setup.objects.get(pk=errand.subject)


def made(project: Project, sha: str) -> Setup:
    with pytest.raises(NotReady):
        setups.equipment(Mirror(project.pk), sha)
    return carry_out()


@pytest.fixture
def opened(project: Project) -> Iterator[list[Workspace]]:
    rows: list[Workspace] = []
    yield rows
    for workspace in rows:
        workspace.close()


def work(project: Project, sha: str, opened: list[Workspace], key: str = "task-1") -> Sandbox:
    """Return a sandbox on commit ``sha``, with what its set-up made."""
    workspace = Workspace(key, Mirror(project.pk))
    opened.append(workspace)
    return workspace.open(sha, "mcc/x", setups.equipment(workspace.mirror, sha))


def test_it_is_made_once_and_found_where_it_was_made(project, atlas, opened):
    sha = atlas.head()
    setup = made(project, sha)

    sandbox = work(project, sha, opened)
    other = work(project, sha, opened, key="task-2")

    assert (setup.status, setup.exit_code) == ("ready", 0)
    for place_of_work in (sandbox, other):
        assert place_of_work.sh("cat tool/version; sh tool/bin/hi").text == "1\nhi\n"
    assert Setup.objects.count() == 1
    assert sandbox.sh("cd web && node -p 'require(\"greet\")'").text == "hi\n"


@pytest.mark.parametrize(
    ("path", "decides"),
    [
        ("requirements/dev.txt", True),
        ("api/requirements/base.in", True),
        ("dev-requirements.txt", True),
        ("bun.lock", True),
        ("web/package-lock.json", True),
        ("web/pnpm-lock.yaml", True),
        ("gradle/libs.versions.toml", True),
        ("Pipfile", True),
        ("App/App.csproj", True),
        ("scripts/install.sh", True),
        ("tools/pins.lst", True),
        ("pins.lst", False),
        ("scripts/install.sh.md", False),
        ("src/map.py", False),
        ("docs/requirements.md", False),
        ("src/requirements/views.py", False),
    ],
)
def test_what_is_usual_and_what_the_command_names_decides_whether_it_is_made_anew(atlas, path, decides):
    command = "./scripts/install.sh --with=tools/pins.lst && pip install -r requirements.txt"
    assert is_made_anew(command, atlas, path) is decides


def is_made_anew(command, atlas, path):
    """Whether a change of ``path`` gives the set-up ``command`` another key."""
    project = factories.project(repository=str(atlas.path), setup_command=command)
    mirror = Mirror(project.pk)
    mirror.fetch()
    before = setups.key(project, mirror, atlas.head())
    atlas.commit({path: "new\n"})
    mirror.fetch()
    return setups.key(project, mirror, atlas.head()) != before


@pytest.mark.parametrize(
    ("command", "path", "decides"),
    [
        ("cd web && ./install.sh", "web/install.sh", True),
        ("cd web && ./install.sh", "api/install.sh", False),
        ("cd web && cd app; sh install.sh", "web/app/install.sh", True),
        ("(cd web && ./install.sh) && (cd 'api/v1/' && ./install.sh)", "api/v1/install.sh", True),
        ("pushd ./web; ./bin/install.sh --all", "web/bin/install.sh", True),
        ("cd web/app && ../install.sh", "web/install.sh", True),
        ("cd web && pip install -r pins.lst", "web/pins.lst", True),
        ("cd web && ./install.sh", "web/install.sh.md", False),
        ("echo abcd web ./install.sh", "web/install.sh", False),
        ("cd /workspace/app && sh ./x.sh", "app/x.sh", True),
        ("cd /workspace && cd app/ && sh ./x.sh", "app/x.sh", True),
        ("cd /tmp; cd /workspace/; sh x.sh", "x.sh", True),
        ("sh /workspace/app/x.sh --all", "app/x.sh", True),
        ("sh /workspace/app/x.sh", "x.sh", False),
        ("sh /old/workspace/app/x.sh", "app/x.sh", False),
        ("cd /workspaces/app && sh ./x.sh", "app/x.sh", False),
        ("cd ../.. && cd /etc && cd - && ./install.sh", "etc/install.sh", False),
    ],
)
def test_a_command_names_files_from_where_it_is(atlas, command, path, decides):
    assert is_made_anew(command, atlas, path) is decides


def test_the_settings_warn_of_a_set_up_that_nothing_would_make_anew(atlas, client):
    owner = factories.user()
    project = factories.project(owner=owner, repository=str(atlas.path))
    client.force_login(owner)
    page, form = f"/projects/{project.key}/settings/", f"/projects/{project.key}/settings/setup/"
    told = "is never made anew"

    def warned(command: str, files: str = "") -> bool:
        assert client.post(form, {"setup_command": command, "setup_files": files}).status_code == 302
        return told in client.get(page).content.decode().replace("\n", " ")

    assert not warned("make deps"), "no copy of the repository is here yet"
    Mirror(project.pk).fetch()
    assert (warned("make deps"), warned("")) == (True, False)
    assert (warned("make deps", "pins.lst"), warned("make deps", "src/map.py")) == (True, False)
    atlas.commit({"requirements.txt": "\n"})
    Mirror(project.pk).fetch()
    assert not warned("make deps")
    project.refresh_from_db()
    Project.objects.filter(pk=project.pk).update(default_branch="gone")
    assert not warned("make deps")


def test_a_very_large_repository_is_looked_through_in_little_time(atlas):
    """Measured against reading the names of its files, which takes as long on the same machine."""
    blob = atlas.git("hash-object", "-w", "--stdin", stdin="x = 1\n")

    def tree(kind: str, names: dict[str, str]) -> str:
        mode = "040000" if kind == "tree" else "100644"
        return atlas.git("mktree", stdin="".join(f"{mode} {kind} {oid}\t{name}\n" for name, oid in names.items()))

    files = tree("blob", {f"module_{n}.py": blob for n in range(300)})
    whole = tree("tree", {f"package_{n}": files for n in range(100)})
    atlas.git("update-ref", "refs/heads/main", atlas.git("commit-tree", "-m", "Large", whole))
    project = factories.project(repository=str(atlas.path), setup_command="cd app && pip install -r deps.txt")
    mirror = Mirror(project.pk)
    mirror.fetch()

    def seconds(look: Callable[[], object]) -> float:
        began = time.process_time()
        look()
        return time.process_time() - began

    reading, looking = (
        median(seconds(look) for _ in range(3))
        for look in (lambda: mirror.blobs(atlas.head()), lambda: setup_files.warning(project))
    )
    assert len(mirror.blobs(atlas.head())) == 30_000 and "never made anew" in setup_files.warning(project)
    project.setup_command = "cd package_0 && python module_0.py"
    found = median(seconds(lambda: setup_files.warning(project)) for _ in range(3))
    assert looking < 3 * reading and found < 2 * reading


def test_who_orders_it_in_the_moment_in_which_it_is_finished_does_not_have_it_made_again(project, atlas):
    with pytest.raises(NotReady):
        setups.equipment(Mirror(project.pk), atlas.head())
    seen_before = Setup.objects.get()
    setup = carry_out()

    setups._order(seen_before)
    carry_out()

    assert Setup.objects.get().started_at == setup.started_at


def test_git_does_not_see_it_and_what_was_tracked_is_not_in_it(project, atlas, opened):
    sha = atlas.head()
    made(project, sha)
    sandbox = work(project, sha, opened)
    sandbox.write_file("new.txt", b"new\n")

    collected = opened[0].collect(sha, "Work")

    assert sandbox.sh("git status --short; git ls-files --others --exclude-standard").text == ""
    changed = opened[0].mirror.changed_files(sha, collected)
    assert [change.path for change in changed] == ["new.txt"]
    assert sandbox.sh("find /mcc/setup -type f | sort").text.split() == [
        "/mcc/setup/.mcc/exclude",
        "/mcc/setup/.mcc/paths",
        "/mcc/setup/tool/bin/hi",
        "/mcc/setup/tool/version",
        "/mcc/setup/web/node_modules/greet/index.js",
    ]


def test_a_git_that_was_damaged_does_not_bring_it_into_the_work(project, atlas, opened):
    sha = atlas.head()
    made(project, sha)
    sandbox = work(project, sha, opened)
    sandbox.sh("rm -rf .git; echo new > new.txt")

    collected = opened[0].collect(sha, "Work")

    assert [change.path for change in opened[0].mirror.changed_files(sha, collected)] == ["new.txt"]


ATTACKS = (
    "echo evil > tool/version",
    "echo evil > /mcc/setup/tool/version",
    "rm -rf /mcc/setup/tool",
    "rm -rf tool/bin",
    "chmod -R 777 /mcc/setup && echo evil > tool/version",
    "mv /mcc/setup/tool /mcc/setup/other",
    "ln /mcc/setup/tool/version mine && echo evil > mine",
    "python3 -c \"open('/proc/1/root/mcc/setup/tool/version', 'w')\"",
    "mount -o remount,rw /mcc/setup; touch /mcc/setup/evil",
)


def test_commands_cannot_write_what_others_use(project, atlas, opened):
    sha = atlas.head()
    made(project, sha)
    sandbox = work(project, sha, opened)

    assert [attack for attack in ATTACKS if sandbox.sh(attack).ok] == []

    assert work(project, sha, opened, key="task-2").sh("cat tool/version; ls /mcc/setup").text == "1\ntool\nweb\n"


def test_what_an_agent_puts_in_its_place_stays_its_own(project, atlas, opened):
    sha = atlas.head()
    made(project, sha)
    sandbox = work(project, sha, opened)
    sandbox.sh("rm tool && mkdir tool && echo mine > tool/version")
    opened.pop().close()

    again = work(project, sha, opened)

    assert again.sh("cat tool/version").text == "mine\n"
    assert work(project, sha, opened, key="task-2").sh("cat tool/version").text == "1\n"


def test_another_lock_file_is_another_set_up_and_another_file_is_not(project, atlas, opened):
    first = made(project, atlas.head())
    same = atlas.commit({"README.md": "Changed\n"})
    other = atlas.commit({"lock.txt": "2\n"})
    Mirror(project.pk).fetch()

    assert setups.equipment(Mirror(project.pk), same).layer == places.workspace_path(f"p{project.pk}-setup-{first.pk}")
    second = made(project, other)

    assert second.pk != first.pk
    assert work(project, other, opened).sh("cat tool/version").text == "2\n"


def test_a_check_finds_it_and_waits_for_it(project, atlas):
    project.checks = [{"name": "tests", "command": "cat tool/version", "timeout_s": 30}]
    project.save()
    task = _task(project, atlas)
    made(project, atlas.head())
    pull = _hand_in(task, "lock.txt", "2\n")
    checks.order(pull)
    lease = _lease()

    with pytest.raises(Later):
        errands.run_checks(pull.pk, lease)
    carry_out()
    errands.run_checks(pull.pk, lease)

    check = Check.objects.get()
    assert (check.status, check.log) == ("passed", "2\n")


def test_a_failure_is_told_with_its_log_and_is_not_the_agents(project, atlas):
    projects.configure(project, user=None, setup_command="echo looking; echo no such package >&2; exit 3")
    project.checks = [{"name": "tests", "command": "true", "timeout_s": 30}]
    project.save()
    sha = atlas.head()

    setup = made(project, sha)

    assert (setup.status, setup.exit_code, setup.log) == ("failed", 3, "looking\nno such package\n")
    with pytest.raises(SandboxUnavailable) as told:
        setups.equipment(Mirror(project.pk), sha)
    assert f"The set-up of {project.name} failed (exit code 3): no such package" in str(told.value)
    assert not places.workspace_path(f"p{project.pk}-setup-{setup.pk}").exists()
    assert setups.equipment_for_reading(Mirror(project.pk), sha).layer is None


def test_a_failed_one_is_tried_again_a_minute_later_and_when_somebody_says_so(project, atlas):
    projects.configure(project, user=None, setup_command="test -e /workspace/never")
    setup = made(project, atlas.head())
    owner = factories.user(is_superuser=True)

    setups.again(setup, user=owner)
    assert carry_out().status == "failed"

    Setup.objects.update(finished_at=timezone.now() - timedelta(minutes=2))
    made(project, atlas.head())
    assert Errand.objects.filter(kind=setups.ERRAND).count() == 3


def test_one_that_was_ordered_under_other_settings_is_not_made_with_todays(project, atlas):
    with pytest.raises(NotReady):
        setups.equipment(Mirror(project.pk), atlas.head())
    before = {"setup_command": project.setup_command}
    projects.configure(project, user=None, setup_command="touch lied")

    setup = carry_out()

    assert (setup.status, setup.ending) == ("failed", setups.OUTDATED)
    assert not places.workspace_path(f"p{project.pk}-setup-{setup.pk}").exists()
    setups.again(setup, user=factories.user(is_superuser=True))
    assert carry_out().ending == setups.OUTDATED
    projects.configure(project, user=None, **before)
    assert made(project, atlas.head()) == setup
    setup.refresh_from_db()
    assert setup.status == "ready"


def test_one_whose_settings_change_while_it_is_made_is_not_kept(project, atlas, monkeypatch):
    run = setups._run

    def changed_meanwhile(setup, *more):
        projects.configure(project, user=None, variables={"LEVEL": "2"})
        return run(setup, *more)

    monkeypatch.setattr(setups, "_run", changed_meanwhile)

    assert made(project, atlas.head()).ending == setups.OUTDATED


def test_it_runs_under_limits(project, atlas):
    projects.configure(project, user=None, setup_command="yes > big", limits={"disk_mib": 64, "wall_s": 20})

    setup = made(project, atlas.head())

    assert (setup.status, setup.ending) == ("failed", "disk_limit")


def test_a_directory_that_is_gone_is_made_again(project, atlas, opened):
    setup = made(project, atlas.head())
    places.delete_workspace(f"p{project.pk}-setup-{setup.pk}")

    made(project, atlas.head())

    assert work(project, atlas.head(), opened).sh("cat tool/version").text == "1\n"


def test_what_nobody_uses_is_deleted_and_what_somebody_uses_is_not(project, atlas):
    setup = made(project, atlas.head())
    path = places.workspace_path(f"p{project.pk}-setup-{setup.pk}")
    setups.tidy()
    assert not Errand.objects.filter(kind=setups.TIDY_ERRAND).exists()

    Setup.objects.update(used_at=timezone.now() - timedelta(days=15))
    setups.equipment(Mirror(project.pk), atlas.head())
    errands.tidy_setup(setup.pk, _lease())
    assert path.is_dir(), "somebody came to use it again"

    Setup.objects.update(used_at=timezone.now() - timedelta(days=15))
    setups.tidy()
    assert Errand.objects.filter(kind=setups.TIDY_ERRAND, subject=setup.pk).exists()
    errands.tidy_setup(setup.pk, _lease())
    assert not path.exists()
    assert not Setup.objects.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="a little internet needs root")
class TestWithANetwork:
    """In a little internet that has an index of packages."""

    @pytest.fixture
    def no_network(self, tmp_path) -> Iterator[None]:
        world = World(tmp_path)
        try:
            with world.entered():
                yield
        finally:
            world.destroy()

    def test_pip_installs_from_the_named_host_and_later_commands_have_no_network(self, project, atlas, opened):
        index = "--index-url http://packages.example.org/simple/ --trusted-host packages.example.org"
        install = f"python3 -m venv .venv && .venv/bin/pip install -q --no-cache-dir {index} -r lock.txt"
        elsewhere = "; curl -s http://evil.example.com/; true"
        atlas.commit({"lock.txt": "greeting==1.0\n"})
        Mirror(project.pk).fetch()
        projects.configure(project, user=None, setup_command=install + elsewhere, setup_hosts=["packages.example.org"])

        setup = made(project, atlas.head())

        assert setup.status == "ready", setup.log
        assert "evil.example.com:80 was refused (this host is not on the project's list)" in setup.log
        sandbox = work(project, atlas.head(), opened)
        assert sandbox.sh(".venv/bin/python -c 'import greeting; print(greeting.WORD)'").text == "hello\n"
        assert sandbox.sh("curl -sS http://packages.example.org/").exit_code == 6
        assert sandbox.sh("env | grep -ci proxy").text == "0\n"

    def test_commands_reach_what_is_listed_for_them_and_not_what_is_for_the_set_up(self, project, atlas, opened):
        projects.configure(
            project, user=None, setup_hosts=["packages.example.org"], command_hosts=["files.cdn.example.net"]
        )
        made(project, atlas.head())
        sandbox = work(project, atlas.head(), opened)

        result = sandbox.sh("curl -s http://files.cdn.example.net/; curl -s http://packages.example.org/")

        assert "Host: files.cdn.example.net" in result.text
        assert "packages.example.org:80 is refused" in result.text


def _task(project: Project, atlas: PersonsRepository) -> Task:
    issue = factories.planned(project)
    Task.objects.update(base_sha=atlas.head())
    factories.scheduling.advance(issue.pk)
    return issue.tasks.get()


def _hand_in(task: Task, path: str, text: str):
    workspace = Workspace(f"task-{task.pk}", Mirror(task.issue.project_id))
    try:
        workspace.open(task.base_sha, task.branch).write_file(path, text.encode())
        handover = handing_in.hand_in(factories.latest(task), workspace, "Done.", key="call")
    finally:
        workspace.close()
    return handover.pull


def _lease() -> Lease:
    errand = Errand.objects.create(kind="test", subject=Errand.objects.count(), status="running", lease_epoch=1)
    return Lease(errand.pk, 1)
