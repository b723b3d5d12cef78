"""What a project may give to its commands, and what is refused when it is written down."""

import pytest

from agents.sandbox.types import MIB
from mcc.core import redaction
from mcc.core.errors import InvalidInput, NotAllowed
from mcc.core.models import AuditEntry
from projects.services import environments, projects
from projects.tests import factories

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return factories.project(owner=factories.user())


def test_without_settings_there_is_no_network_and_the_usual_limits(project):
    given = environments.for_commands(project, None)

    assert (given.egress, given.env, given.layer, given.toolchains) == (None, {}, None, ())
    assert (given.limits.memory, given.limits.cpus, given.limits.wall_s) == (1024 * MIB, 1, 1800)


def test_hosts_of_the_set_up_are_not_those_of_commands(project):
    projects.configure(project, user=None, setup_hosts=["PyPI.org", "pypi.org", ""], command_hosts=["*.example.org"])

    assert environments.for_setup(project).egress.hosts == ("pypi.org",)
    assert environments.for_commands(project, None).egress.hosts == ("*.example.org",)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("setup_hosts", ["https://pypi.org/"]),
        ("command_hosts", ["10.0.0.1"]),
        ("command_hosts", ["*.com"]),
        ("command_hosts", "pypi.org"),
        ("setup_files", ["a\\b"]),
        ("setup_command", "curl -H 'Authorization: Bearer abcdefghijklmnop1234' x"),
        ("variables", {"API_KEY": "x"}),
        ("variables", {"DB_PASSWORD": "x"}),
        ("variables", {"URL": "postgres://me:s3cretpassw0rd@db/x"}),
        ("variables", {"A": "ghp_" + "a1B2" * 9}),
        ("variables", {"PATH": "/x"}),
        ("variables", {"https_proxy": "http://x"}),
        ("variables", {"GIT_CONFIG_COUNT": "1"}),
        ("variables", {"A B": "x"}),
        ("variables", {"A": "x\ny"}),
        ("variables", {"A": 1}),
        ("toolchains", ["/etc"]),
        ("image", "python:3.12"),
        ("image", "--privileged"),
        ("limits", {"wall_s": 1801}),
        ("limits", {"memory_mib": 5000}),
        ("limits", {"cpus": 0}),
        ("limits", {"disk_mib": "many"}),
        ("limits", {"fun": 1}),
    ],
)
def test_what_makes_no_sense_or_is_a_secret_is_refused_beside_its_field(project, field, value):
    with pytest.raises(InvalidInput) as refused:
        projects.configure(project, user=None, **{field: value})

    assert list(refused.value.fields) == [field]


def test_a_secret_that_mission_control_knows_is_refused(project):
    redaction.register("correct-horse-battery-9")

    with pytest.raises(InvalidInput, match="cannot run like this"):
        projects.configure(project, user=None, variables={"GREETING": "correct-horse-battery-9"})


def test_the_operators_bounds_count_again_when_a_command_runs(project, settings):
    projects.configure(project, user=None, limits={"memory_mib": 4096, "processes": 900})
    assert environments.limits(project).memory == 4096 * MIB

    settings.MCC_SANDBOX_MAX_MEMORY_MIB = 512
    settings.MCC_SANDBOX_MAX_PROCESSES = 100

    assert environments.limits(project).memory == 512 * MIB
    assert environments.limits(project).processes == 100


def test_only_who_decides_may_open_the_network_and_it_is_written_down(project):
    with pytest.raises(NotAllowed):
        projects.configure(project, user=factories.user(), command_hosts=["example.org"])

    owner = project.memberships.get().user
    projects.configure(project, user=owner, command_hosts=["example.org"])

    entry = AuditEntry.objects.filter(action="projects.configure").latest("pk")
    assert entry.detail == {"rules": ["command_hosts"], "command_hosts": ["example.org"]}


def test_a_toolchain_is_looked_at_when_it_is_chosen_and_does_not_hinder_what_is_written_later(project, settings):
    settings.MCC_SANDBOX_OPTIONAL_PATHS = ["/usr/lib"]
    with pytest.raises(InvalidInput) as refused:
        projects.configure(project, user=None, toolchains=["/usr/lib/no-such-jdk"])
    assert refused.value.fields == {"toolchains": ["/usr/lib/no-such-jdk does not exist on this machine."]}

    projects.configure(project, user=None, toolchains=["/usr/lib/git-core/", "/usr/lib/git-core"])
    settings.MCC_SANDBOX_OPTIONAL_PATHS = []
    projects.configure(project, user=None, variables={"CI": "1"})

    project.refresh_from_db()
    assert (project.toolchains, project.variables) == (["/usr/lib/git-core"], {"CI": "1"})
    entry = AuditEntry.objects.filter(action="projects.configure").order_by("pk")[0]
    assert entry.detail["toolchains"] == ["/usr/lib/git-core"]


def test_an_image_is_refused_where_commands_run_in_bubblewrap(project, settings):
    settings.MCC_SANDBOX_OPTIONAL_IMAGES = ["python:*"]

    with pytest.raises(InvalidInput, match="bubblewrap here, which knows no images"):
        projects.configure(project, user=None, image="python:3.12")
