"""Generate the pages that can be generated: ``docs/DB_SCHEMA.md`` and ``docs/openapi.yaml``.

``--check`` writes nothing and fails when a page is not what it would write.
"""

import argparse
import os
import sys
from io import StringIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcc.settings")

import django

django.setup()

from django.apps import apps
from django.core.management import call_command
from django.db import models

FLOORS = ["core", "budgets", "agents", "projects", "githubsync", "notifications"]
HEADER = """# Database schema

Generated from the models by `make docs-write`; `make docs` checks it. Foreign keys stay on their floor or point to one
named before it here: core, budgets, agents, projects. Money is in nano-dollars (1e-9 USD), times are in UTC.
"""


def _first_paragraph(model: type[models.Model]) -> str:
    doc = (model.__doc__ or "").strip()
    if doc.startswith(f"{model.__name__}("):
        return ""
    return " ".join(line.strip() for line in doc.split("\n\n")[0].splitlines())


def _type_of(field: models.Field) -> str:
    if isinstance(field, models.ManyToManyField):
        return f"many-to-many to {field.related_model._meta.label}"
    if field.is_relation:
        kind = "one-to-one" if field.one_to_one else "foreign key"
        return f"{kind} to {field.related_model._meta.label}, {field.remote_field.on_delete.__name__}"
    name = field.get_internal_type().removesuffix("Field").lower()
    return f"{name}({field.max_length})" if getattr(field, "max_length", None) else name


def _notes(field: models.Field) -> str:
    notes = []
    if field.primary_key:
        notes.append("primary key")
    if field.null and not isinstance(field, models.ManyToManyField):
        notes.append("may be null")
    if field.unique and not field.primary_key and not field.one_to_one:
        notes.append("unique")
    if field.choices:
        notes.append(" / ".join(str(value) for value, _ in field.flatchoices))
    if field.help_text:
        notes.append(str(field.help_text))
    return "; ".join(notes).replace("|", "\\|")


def _constraints(model: type[models.Model]) -> list[str]:
    lines = []
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            condition = f" where {constraint.condition}" if constraint.condition else ""
            lines.append(f"- `{constraint.name}`: unique ({', '.join(constraint.fields)}){condition}")
        elif isinstance(constraint, models.CheckConstraint):
            lines.append(f"- `{constraint.name}`: check {constraint.condition}")
    lines += [f"- index ({', '.join(index.fields)})" for index in model._meta.indexes]
    return lines


def db_schema() -> str:
    """Return the Markdown page about every table of ours."""
    out = [HEADER]
    for label in FLOORS:
        tables = list(apps.get_app_config(label).get_models())
        if not tables:
            continue
        out.append(f"## {label}\n")
        for model in tables:
            out.append(f"### {model.__name__} (`{model._meta.db_table}`)\n")
            if text := _first_paragraph(model):
                out.append(f"{text}\n")
            out.append("| field | type | notes |\n|---|---|---|")
            fields = [*model._meta.fields, *model._meta.many_to_many]
            out += [f"| {field.name} | {_type_of(field)} | {_notes(field)} |" for field in fields]
            if constraints := _constraints(model):
                out.append("\n" + "\n".join(constraints))
            out.append("")
    return "\n".join(out).rstrip() + "\n"


def openapi() -> str:
    """Return the OpenAPI description of ``/api/v1/``. Warnings about it are errors."""
    out = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=out)
    return out.getvalue()


PAGES = {"docs/DB_SCHEMA.md": db_schema, "docs/openapi.yaml": openapi}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    stale = []
    for name, generate in PAGES.items():
        path, text = ROOT / name, generate()
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text)
    verb = "is stale: run `make docs-write`" if check else "written"
    for name in stale:
        sys.stdout.write(f"{name} {verb}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
