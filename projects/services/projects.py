"""Projects are founded and their rules changed."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from agents.models import Agent
from budgets.models import Account
from budgets.services import accounts
from mcc.core import audit
from mcc.core.errors import InvalidInput, NotAllowed
from mcc.core.models import User
from projects.forge import ForgeError, forge_of, registered
from projects.models import Membership, Project
from projects.services import environments
from projects.services.rights import owns, require_decider

SETTABLE = (
    "name",
    "description",
    "default_branch",
    "checks",
    "setup_command",
    "setup_files",
    "setup_hosts",
    "command_hosts",
    "variables",
    "toolchains",
    "image",
    "limits",
    "plan_needs_approval",
    "merge_needs_approval",
    "counts_forge_approvals",
    "fast_lane",
    "parallel_coders",
    "max_rework",
    "issue_budget_nanousd",
)
WRITTEN_DOWN = ("setup_hosts", "command_hosts", "toolchains", "image", "counts_forge_approvals")
"""What decides which doors stand open, of the machine to agents and of a merge to a forge: kept in the audit trail
word for word."""
MOST_CHECKS = 20
LONGEST_CHECK_S = 1_800


def create(
    *,
    key: str,
    name: str,
    repository: str,
    forge: Project.Forge = Project.Forge.LOCAL,
    user: User | None = None,
    team: Iterable[Agent] = (),
    rules: Mapping[str, object] | None = None,
    founded: Callable[[Project], None] | None = None,
) -> Project:
    """Found a project on a repository that can be reached, with ``user`` as its owner and an account of its own.

    ``rules`` are the fields in ``SETTABLE``; ``founded`` is called in the transaction in which it comes to be. Talks
    to the forge, so never call it in a transaction of yours.
    Raises InvalidInput with the fields that are wrong.
    """
    project = Project(key=key.strip().upper(), name=name.strip(), repository=repository.strip(), forge=forge)
    _set(project, rules or {})
    _validate(project, rules or {})
    if project.forge not in registered():
        text = f"This installation has no line to {project.get_forge_display()}."
        raise InvalidInput(text, fields={"forge": [text]})
    environments.try_out(project, rules or {})
    port = forge_of(project)
    if "default_branch" not in (rules or {}):
        with suppress(ForgeError):  # what is wrong is said by the next line, better
            project.default_branch = port.repository().default_branch
    port.ensure_reachable()
    with transaction.atomic():
        project.account = accounts.open_account(Account.Kind.PROJECT, project.name)
        project.save()
        project.team.set(team)
        if user is not None:
            Membership.objects.create(project=project, user=user, role=Membership.Role.OWNER)
        if founded is not None:
            founded(project)
        audit.record(user, "projects.create_project", f"projects.project:{project.pk}", {"key": project.key})
    return project


def configure(project: Project, *, user: User, team: Iterable[Agent] | None = None, **rules: object) -> Project:
    """Change the rules (fields in ``SETTABLE``) and the team. Work that is under way follows the new ones.

    Tries an image out, so never call it in a transaction of yours with one. Raises NotAllowed, InvalidInput.
    """
    require_decider(user, project)
    _set(project, rules)
    _validate(project, rules)
    environments.try_out(project, rules)
    told = {name: getattr(project, name) for name in WRITTEN_DOWN if name in rules}
    with transaction.atomic():
        project.save(update_fields=list(rules))  # the counters of issues and pull requests go on meanwhile
        if team is not None:
            project.team.set(team)
        audit.record(user, "projects.configure", f"projects.project:{project.pk}", {"rules": sorted(rules)} | told)
    return project


@transaction.atomic
def set_member(project: Project, member: User, role: Membership.Role | None, *, user: User) -> None:
    """Give ``member`` a role in the project, or none. The last owner stays. Raises NotAllowed, InvalidInput.

    Whoever decides lets people in and out; who owns the project, its owners and administrators say.
    """
    require_decider(user, project)
    owners = project.memberships.select_for_update().filter(role=Membership.Role.OWNER)
    about_owners = role == Membership.Role.OWNER or owners.filter(user=member).exists()
    if about_owners and not owns(user, project):
        raise NotAllowed(f"Only an owner of {project.name} or an administrator says who owns it.")
    others = owners.exclude(user=member)
    if role != Membership.Role.OWNER and not others.exists():
        raise InvalidInput("A project keeps at least one owner.")
    if role is None:
        project.memberships.filter(user=member).delete()
    else:
        project.memberships.update_or_create(user=member, defaults={"role": role})
    audit.record(user, "projects.set_member", f"projects.project:{project.pk}", {"member": member.pk, "role": role})


@transaction.atomic
def admit(project: Project, member: User, role: Membership.Role, *, by: User) -> None:
    """Let ``member`` in as ``by``, an administrator then, invited them. Who is in already keeps their role."""
    _, is_new = project.memberships.get_or_create(user=member, defaults={"role": role})
    if is_new:
        audit.record(by, "projects.set_member", f"projects.project:{project.pk}", {"member": member.pk, "role": role})


def _set(project: Project, rules: Mapping[str, object]) -> None:
    unknown = sorted(set(rules) - set(SETTABLE))
    if unknown:
        raise InvalidInput(f"Not a rule of a project: {', '.join(unknown)}.")
    for field, value in rules.items():
        setattr(project, field, value)


def _validate(project: Project, changed: Collection[str]) -> None:
    project.checks = valid_checks(project.checks)
    environments.make_valid(project, changed)
    try:
        project.full_clean(exclude=["account"])
    except ValidationError as error:
        raise InvalidInput("The project cannot be like this.", fields=error.message_dict) from error


def valid_checks(checks: object) -> list[dict[str, Any]]:
    """Return ``checks`` as ``Project.checks`` holds them. Raises InvalidInput."""
    if not isinstance(checks, list) or len(checks) > MOST_CHECKS:
        raise _wrong_checks(f"A list of at most {MOST_CHECKS} checks.")
    rows = [_valid_check(check) for check in checks]
    if len({row["name"] for row in rows}) < len(rows):
        raise _wrong_checks("Two checks have the same name.")
    return rows


def _valid_check(check: object) -> dict[str, Any]:
    if not isinstance(check, dict):
        raise _wrong_checks("A check has a name and a command.")
    name, command = str(check.get("name", "")).strip(), str(check.get("command", "")).strip()
    if not name or len(name) > 100 or not command:
        raise _wrong_checks("A check has a name of at most 100 characters and a command.")
    timeout_s = check.get("timeout_s", 600)
    if not isinstance(timeout_s, int) or not 1 <= timeout_s <= LONGEST_CHECK_S:
        raise _wrong_checks(f"A check may take 1 to {LONGEST_CHECK_S} seconds.")
    return {"name": name, "command": command, "timeout_s": timeout_s}


def _wrong_checks(sentence: str) -> InvalidInput:
    return InvalidInput("The checks do not make sense.", fields={"checks": [sentence]})
