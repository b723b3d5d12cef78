"""``python -m bench [--quick | --full] [--database NAME] [subject …]``: measure, print a table, write JSON.

``python -m bench --install litellm`` installs a peer that is too big to be installed unasked, and measures nothing.
"""

import argparse
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench import report, running
from bench.finding import Finding, Scale, Verdict
from bench.peers import installing
from bench.subjects import SUBJECTS


def main(arguments: list[str]) -> int:
    """Return 1 when a target was missed, or something broke."""
    wish = _parser().parse_args(arguments)
    if wish.install:
        print(f"Installed: {installing.python_of(installing.ON_REQUEST[wish.install])}")
        return 0
    scale = Scale.QUICK if wish.quick else Scale.FULL if wish.full else Scale.USUAL
    findings: list[Finding] = []
    for subject in wish.subjects or SUBJECTS:
        for database in SUBJECTS[subject]:
            if wish.database in (None, database):
                load = os.getloadavg()[0]
                print(f"{subject} on {database} (load {load:.1f}) …", file=sys.stderr, flush=True)
                found = running.run(subject, database, scale)
                print(report.table(found), file=sys.stderr, flush=True)
                findings += found
    print(report.table(findings))
    path = wish.json or running.ROOT / "var" / "bench" / f"{datetime.now(UTC):%Y-%m-%d-%H%M%S}.json"
    report.write(findings, path, scale)
    print(f"\nWritten to {path}")
    return int(any(finding.verdict in (Verdict.MISSED, Verdict.BROKEN) for finding in findings))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m bench", description=__doc__)
    parser.add_argument("subjects", nargs="*", choices=[[], *SUBJECTS], metavar="subject", help=", ".join(SUBJECTS))
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="only show that it works: the numbers mean nothing")
    size.add_argument("--full", action="store_true", help="as large as the targets: takes hours")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="only this one")
    parser.add_argument("--install", choices=installing.ON_REQUEST, help="install a peer of 740 MB to measure against")
    parser.add_argument("--json", type=Path, help="where to write, in place of var/bench/<date>.json")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
