import sys
from argparse import ArgumentParser

from django.core.management.base import BaseCommand

from mcc.core.doctor import Level, examine


class Command(BaseCommand):
    help = "Say what is missing on this machine, and how to mend it. Exit code 1 when something must be mended."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--strict", action="store_true", help="warnings count as failures")

    def handle(self, *, strict: bool, **options: object) -> None:
        paint = {Level.OK: self.style.SUCCESS, Level.WARN: self.style.WARNING, Level.FAIL: self.style.ERROR}
        worst = set()
        for name, finding in examine():
            worst.add(finding.level)
            self.stdout.write(f"{paint[finding.level](f'{finding.level:<4}')}  {name}: {finding.text}")
            if finding.fix:
                self.stdout.write(f"      {finding.fix}")
        if Level.FAIL in worst or (strict and Level.WARN in worst):
            sys.exit(1)
