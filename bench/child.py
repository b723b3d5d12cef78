"""Measures one subject in this process: ``python -m bench.child SUBJECT SCALE OUTPUT``; ``bench.running`` starts it."""

import importlib
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import django
from django.core.management import call_command

from bench.finding import Finding, Scale, Skipped


def main(subject: str, scale: Scale, output: Path) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mcc.settings")
    django.setup()
    call_command("migrate", verbosity=0, interactive=False)
    try:
        findings = list(importlib.import_module(f"bench.subjects.{subject}").measure(scale))
    except Skipped as reason:
        findings = [Finding(what=subject, unit="", values=[], skipped=str(reason))]
    output.write_text(json.dumps([asdict(finding) for finding in findings]))


if __name__ == "__main__":
    main(sys.argv[1], Scale(sys.argv[2]), Path(sys.argv[3]))
