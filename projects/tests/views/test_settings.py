"""Founding a project in the browser."""

import pytest

from agents.models import Role
from mcc.core.models import AuditEntry
from projects.forms import NewProjectForm
from projects.models import Project, Setup
from projects.tests import factories

pytestmark = pytest.mark.django_db


def test_a_new_project_takes_everybody_unless_told_otherwise():
    at_work, gone = factories.agent(Role.CODER), factories.agent(Role.CODER, active=False)
    team = NewProjectForm()["team"]
    assert team.value() == [at_work.pk]
    assert gone.pk not in team.value()


def test_a_wrong_path_is_said_beside_the_field_and_nothing_is_lost(people, browse):
    people.owner.is_superuser = True
    people.owner.save()
    sent = {"name": "Calc", "key": "CALC", "repository": "/nowhere/at/all"}
    answer = browse(people.owner).post("/projects/new/", sent)
    assert answer.status_code == 422
    html = answer.content.decode()
    assert "There is no directory /nowhere/at/all" in html
    assert 'value="Calc"' in html
    assert not Project.objects.filter(key="CALC").exists()
    assert browse(people.viewer).get("/projects/new/").status_code == 403


def change(client, project, section, **fields):
    return client.post(f"/projects/{project.key}/settings/{section}/", fields)


def test_the_set_up_is_written_down_line_by_line(people, project, browse):
    sent = {"setup_command": "npm ci\r\n", "setup_hosts": "registry.npmjs.org\r\n\r\n*.example.org", "setup_files": ""}

    answer = change(browse(people.owner), project, "setup", **sent)

    project.refresh_from_db()
    assert answer.status_code == 302
    assert (project.setup_command, project.setup_files) == ("npm ci", [])
    assert project.setup_hosts == ["registry.npmjs.org", "*.example.org"]


def test_variables_and_limits_are_kept_and_shown_again(people, project, browse):
    client = browse(people.owner)

    change(client, project, "commands", variables="CI=1\nLANG = C=UTF-8", wall_s="60", memory_mib="", cpus="1")

    project.refresh_from_db()
    assert project.variables == {"CI": "1", "LANG": "C=UTF-8"}
    assert project.limits == {"wall_s": 60, "cpus": 1}
    html = client.get(f"/projects/{project.key}/settings/").content.decode()
    assert "CI=1\nLANG=C=UTF-8</textarea>" in html
    assert 'name="wall_s" value="60"' in html


def test_every_toolchain_that_is_wrong_is_named_and_those_on_offer_are_said(people, project, browse, settings):
    settings.MCC_SANDBOX_OPTIONAL_PATHS = ["/usr/lib"]

    answer = change(browse(people.owner), project, "commands", toolchains="/usr/lib/no-such\r\n/etc/ssl")

    html = answer.content.decode()
    assert answer.status_code == 422
    assert "/usr/lib/no-such does not exist on this machine. /etc/ssl is not on offer here" in html
    assert "the operator offers /usr/lib and what lies below." in html


def test_the_image_is_asked_for_where_commands_run_in_containers(people, project, browse, settings):
    address = f"/projects/{project.key}/settings/"
    settings.MCC_SANDBOX, settings.MCC_SANDBOX_OPTIONAL_IMAGES = "docker", ["python:3.*"]
    settings.MCC_SANDBOX_OPTIONAL_PATHS = ["/usr/lib"]

    html = browse(people.owner).get(address).content.decode()

    assert 'name="image"' in html
    assert "the operator offers python:3.*." in html
    assert 'name="toolchains"' not in html


@pytest.mark.parametrize(
    ("section", "sent", "said"),
    [
        ("commands", {"variables": "API_TOKEN=x"}, "API_TOKEN is named like a secret"),
        ("commands", {"variables": "nothing"}, "Write NAME=value"),
        ("commands", {"memory_mib": "999999"}, "less than or equal to 4096"),
        ("network", {"command_hosts": "http://example.org"}, "is not the name of a host"),
        ("setup", {"setup_hosts": "127.0.0.1"}, "is not the name of a host"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(people, project, browse, section, sent, said):
    answer = change(browse(people.owner), project, section, **sent)

    assert answer.status_code == 422
    assert said in answer.content.decode()


def test_the_log_of_a_set_up_is_for_members_and_only_deciders_run_it_again(people, project, browse):
    setup = Setup.objects.create(
        project=project, key="k", sha="a" * 40, command="make", status="failed", exit_code=2, log="<b>no</b> package"
    )
    Setup.objects.update(finished_at=setup.created_at)
    address = f"/projects/{project.key}/setups/{setup.pk}/"

    assert "&lt;b&gt;no&lt;/b&gt; package" in browse(people.viewer).get(address).content.decode()
    assert browse(people.viewer).post(f"{address}again/").status_code == 403
    assert browse(people.stranger).get(address).status_code == 404
    assert browse(people.stranger).post(f"{address}again/").status_code == 404
    assert browse(people.owner).post(f"{address}again/").status_code == 302
    setup.refresh_from_db()
    assert setup.status == "queued"


def test_whether_approvals_at_the_forge_count_is_asked_where_there_is_one_and_written_down(people, project, browse):
    client, address = browse(people.owner), f"/projects/{project.key}/settings/"
    assert "counts_forge_approvals" not in client.get(address).content.decode()
    Project.objects.update(forge=Project.Forge.GITHUB)
    assert "Approvals on GitHub count" in client.get(address).content.decode()
    rules = {"parallel_coders": 2, "max_rework": 3, "issue_budget_usd": "5", "counts_forge_approvals": "on"}
    assert change(browse(people.viewer), project, "rules", **rules).status_code in (403, 422)
    assert not Project.objects.get().counts_forge_approvals

    change(browse(people.owner), project, "rules", **rules)

    assert Project.objects.get().counts_forge_approvals
    written = AuditEntry.objects.filter(action="projects.configure").latest("pk")
    assert written.detail["counts_forge_approvals"] is True
