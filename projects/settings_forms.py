"""The sections of a project's settings."""

import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.http import QueryDict

from agents.models import Agent
from agents.sandbox import images, toolchains
from mcc.core.money import nanousd, usd_string
from projects import setup_files
from projects.forms import offer_agents
from projects.models import Project
from projects.services import environments

CHECK_LINE = re.compile(r"(?P<name>[^:()]+?)\s*(?:\((?P<timeout_s>[0-9]{1,6})\))?\s*:\s*(?P<command>.+)")
"""``tests: pytest -q`` or, with another limit than ten minutes, ``tests (900): pytest -q``."""
DEFAULT_TIMEOUT_S = 600


class SectionForm(forms.Form):
    """One section of a project's settings. ``rules`` are the arguments of ``projects.configure``."""

    section: ClassVar[str]
    title: ClassVar[str]

    def __init__(self, data: QueryDict | None = None, *, project: Project) -> None:
        super().__init__(data, initial=self.stored(project))
        self._project = project

    @property
    def warning(self) -> str:
        """What people should read before the fields; empty: nothing."""
        return ""

    def stored(self, project: Project) -> dict[str, Any]:
        """Return what the fields show first."""
        return {name: getattr(project, name) for name in self.base_fields}

    def rules(self) -> dict[str, Any]:
        return self.cleaned_data


class NameForm(SectionForm):
    section, title = "name", "Project"

    name = forms.CharField(max_length=100)
    description = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}), max_length=2_000)
    default_branch = forms.CharField(max_length=200, help_text="Where finished work is merged.")


class RulesForm(SectionForm):
    section, title = "rules", "Rules"

    plan_needs_approval = forms.BooleanField(label="A person approves each plan", required=False)
    merge_needs_approval = forms.BooleanField(label="A person approves each merge", required=False)
    counts_forge_approvals = forms.BooleanField(required=False)
    fast_lane = forms.BooleanField(label="Small issues skip the Tester", required=False)
    parallel_coders = forms.IntegerField(label="Coders at once", min_value=1, max_value=20)
    max_rework = forms.IntegerField(
        label="Rounds of rework", min_value=1, max_value=20, help_text="Then a person is asked what to do."
    )
    issue_budget_usd = forms.DecimalField(
        label="Budget of an issue in $",
        min_value=0,
        max_value=100_000,
        decimal_places=4,
        help_text="Unless the issue says otherwise. 0: no limit of its own.",
    )

    def __init__(self, data: QueryDict | None = None, *, project: Project) -> None:
        super().__init__(data, project=project)
        if project.forge == Project.Forge.LOCAL:
            del self.fields["counts_forge_approvals"]
            return
        place, field = project.get_forge_display(), self.fields["counts_forge_approvals"]
        field.label = f"Approvals on {place} count"
        field.help_text = (
            f"An approving review there is a vote on that very commit, if whoever gives it may approve here and has "
            f"connected their account on {place}; also one that was given already. Then whoever gets into that "
            f"account can have a merge made."
        )

    def stored(self, project: Project) -> dict[str, Any]:
        values = {name: getattr(project, name) for name in self.base_fields if name != "issue_budget_usd"}
        return values | {"issue_budget_usd": usd_string(project.issue_budget_nanousd)}

    def rules(self) -> dict[str, Any]:
        values = dict(self.cleaned_data)
        return values | {"issue_budget_nanousd": nanousd(values.pop("issue_budget_usd"))}


class ChecksForm(SectionForm):
    section, title = "checks", "Checks"

    checks = forms.CharField(
        label="Commands",
        required=False,
        widget=forms.Textarea(
            attrs={"rows": 4, "class": "code", "spellcheck": "false", "placeholder": "tests: pytest -q"}
        ),
        help_text=(
            "One a line: a name, a colon, the command. Mission Control runs them itself on every commit. A limit in "
            "seconds may stand in brackets, as in tests (900): pytest -q"
        ),
    )

    def stored(self, project: Project) -> dict[str, Any]:
        return {"checks": "\n".join(map(_check_line, project.checks))}

    def clean_checks(self) -> list[dict[str, Any]]:
        lines = [line.strip() for line in self.cleaned_data["checks"].splitlines() if line.strip()]
        return [_check(line) for line in lines]


class LinesField(forms.CharField):
    """A list of strings, one a line."""

    def __init__(self, *, rows: int = 3, placeholder: str = "", label: str, help_text: str) -> None:
        attrs = {"rows": rows, "class": "code", "spellcheck": "false", "placeholder": placeholder}
        super().__init__(required=False, label=label, help_text=help_text, widget=forms.Textarea(attrs=attrs))

    def prepare_value(self, value: object) -> object:
        return "\n".join(value) if isinstance(value, list) else value

    def clean(self, value: object) -> list[str]:
        return [line.strip() for line in super().clean(value).splitlines() if line.strip()]


class SetupForm(SectionForm):
    section, title = "setup", "Set-up"

    @cached_property
    def warning(self) -> str:
        return setup_files.warning(self._project)

    setup_command = forms.CharField(
        label="Command",
        required=False,
        max_length=4_000,
        widget=forms.Textarea(
            attrs={
                "rows": 3,
                "class": "code",
                "spellcheck": "false",
                "placeholder": "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
            }
        ),
        help_text=(
            "Installs what the project needs, in the root of the repository. It runs once for each state of the lock "
            "files; what it adds (.venv, node_modules) is then there, read-only, for every agent and every check."
        ),
    )
    setup_hosts = LinesField(
        label="Hosts it may reach",
        placeholder="pypi.org\nfiles.pythonhosted.org",
        help_text="One a line; *.example.org for all below. Only the set-up may, and only these.",
    )
    setup_files = LinesField(
        label="Lock files",
        rows=2,
        placeholder="requirements*.txt",
        help_text="It runs anew when one changes, or a file that the command names. Empty: those that are usual.",
    )


LIMITS = {
    "wall_s": "Seconds of a command",
    "memory_mib": "Its memory in MiB",
    "cpus": "Its processors",
    "processes": "Its processes",
    "disk_mib": "The workspace in MiB",
}


class CommandsForm(SectionForm):
    section, title = "commands", "Commands"

    variables = LinesField(
        label="Environment variables",
        placeholder="DJANGO_SETTINGS_MODULE=atlas.settings.test",
        help_text="NAME=value, one a line, for every command. Agents read them: never a password, key or token.",
    )
    toolchains = LinesField(
        label="Toolchains",
        rows=2,
        placeholder="/opt/node",
        help_text="Directories of this machine, one a line, that commands see read-only, with their programs on PATH",
    )

    image = forms.CharField(
        label="Image",
        required=False,
        max_length=255,
        widget=forms.TextInput(attrs={"class": "code", "spellcheck": "false"}),
        help_text="What commands run in. Empty: that of the installation",
    )

    def __init__(self, data: QueryDict | None = None, *, project: Project) -> None:
        super().__init__(data, project=project)
        kind = "image" if settings.MCC_SANDBOX == "docker" else "toolchains"
        for name, offered, words in (
            ("toolchains", toolchains.roots(), toolchains.offer()),
            ("image", images.on_offer(), images.offer()),
        ):
            self.fields[name].help_text = f"{self.fields[name].help_text}; {words}."
            if name != kind or not (offered or getattr(project, name)):
                del self.fields[name]
        most, usual = environments.bounds(), environments.usual()
        for name, label in LIMITS.items():
            self.fields[name] = forms.IntegerField(
                label=label,
                required=False,
                min_value=environments.LEAST[name],
                max_value=most[name],
                initial=project.limits.get(name),
                help_text=f"Empty: {usual[name]:,}. At most {most[name]:,}.",
            )

    def stored(self, project: Project) -> dict[str, Any]:
        lines = [f"{name}={value}" for name, value in project.variables.items()]
        return {"variables": lines, "toolchains": project.toolchains, "image": project.image}

    def clean_variables(self) -> dict[str, str]:
        pairs = [line.partition("=") for line in self.cleaned_data["variables"]]
        if wrong := [name for name, equals, _ in pairs if not equals]:
            raise forms.ValidationError(f"Write NAME=value: {wrong[0][:80]}")
        return {name.strip(): value.strip() for name, _, value in pairs}

    def rules(self) -> dict[str, Any]:
        limits = {name: self.cleaned_data[name] for name in LIMITS if self.cleaned_data[name] is not None}
        chosen = {
            name: self.cleaned_data[name] for name in ("variables", "toolchains", "image") if name in self.cleaned_data
        }
        return chosen | {"limits": limits}


class NetworkForm(SectionForm):
    section, title = "network", "Network of commands"
    warning = (
        "Whatever stands on this list is a way out. An agent that a text talked into it can send your code to such a "
        "host, and take back what it answers. Packages belong into the set-up, which needs no list here."
    )

    command_hosts = LinesField(
        label="Hosts that commands of agents and checks may reach",
        help_text="One a line; *.example.org for all below. Https and http only. Empty: no network.",
    )


class TeamForm(SectionForm):
    section, title = "team", "Team"

    team = forms.ModelMultipleChoiceField(
        queryset=Agent.objects.none(), required=False, widget=forms.CheckboxSelectMultiple, label="Who works on it"
    )

    def __init__(self, data: QueryDict | None = None, *, project: Project) -> None:
        super().__init__(data, project=project)
        offer_agents(self)

    def stored(self, project: Project) -> dict[str, Any]:
        return {"team": list(project.team.values_list("pk", flat=True))}


SECTIONS: dict[str, type[SectionForm]] = {
    form.section: form for form in (NameForm, RulesForm, ChecksForm, SetupForm, CommandsForm, NetworkForm, TeamForm)
}


def _check_line(check: Mapping[str, Any]) -> str:
    seconds = "" if check["timeout_s"] == DEFAULT_TIMEOUT_S else f" ({check['timeout_s']})"
    return f"{check['name']}{seconds}: {check['command']}"


def _check(line: str) -> dict[str, Any]:
    match = CHECK_LINE.fullmatch(line)
    if match is None:
        raise forms.ValidationError(f"Write a name, a colon and a command: {line[:80]}")
    return {
        "name": match["name"],
        "command": match["command"],
        "timeout_s": int(match["timeout_s"] or DEFAULT_TIMEOUT_S),
    }
