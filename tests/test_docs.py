"""The documentation is true: settings, signals, commands and addresses that exist are described, and no others."""

import re
from pathlib import Path

import pytest
from django.dispatch import Signal
from django.utils.module_loading import import_string

ROOT = Path(__file__).resolve().parent.parent
NAME = r"""["']([A-Z][A-Z0-9_]+)["']"""
READ = re.compile(rf"(?:env(?:\.\w+)?|environ\.get)\(\s*{NAME}|environ\[{NAME}\]")
SET_BY_OTHERS = {"DJANGO_SETTINGS_MODULE", "MCC_TEST_SCHEDULES", "PATH", "HOME"}


def _sources():
    for folder in ("mcc", "budgets", "agents", "projects", "githubsync", "notifications"):
        yield from (path for path in (ROOT / folder).rglob("*.py") if "tests" not in path.parts)


def _documented() -> set[str]:
    return set(re.findall(r"^([A-Z][A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.M))


def test_every_environment_variable_is_in_the_example():
    used = {one or two for path in _sources() for one, two in READ.findall(path.read_text())}
    assert used - SET_BY_OTHERS - _documented() == set()


def test_the_example_names_no_variable_that_nobody_reads():
    code = "".join(path.read_text() for path in _sources())
    assert [name for name in sorted(_documented()) if name not in code] == []


@pytest.mark.parametrize("app", ["budgets", "agents", "projects"])
def test_every_signal_is_described(app):
    text = (ROOT / app / "signals.py").read_text()
    names = re.findall(r"^(\w+) = Signal\(\)", text, re.M)
    assert names
    specification = (ROOT / "docs/TECH_SPECS.md").read_text()
    for name in names:
        assert isinstance(import_string(f"{app}.signals.{name}"), Signal)
        assert re.search(rf'^{name} = Signal\(\)\n"""\S', text, re.M), f"{name} has no description"
        assert f"`{name}`" in specification


def test_every_command_of_the_readme_exists():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = set(re.findall(r"`?make ([\w-]+)`?", (ROOT / "README.md").read_text()))
    assert named
    assert named <= targets


def test_links_in_the_documentation_lead_somewhere():
    broken = []
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", page.read_text()):
            if not (page.parent / target).exists():
                broken.append(f"{page.name}: {target}")
    assert broken == []
