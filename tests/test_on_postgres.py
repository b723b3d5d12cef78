"""The tests of money and of deliveries once more, on PostgreSQL: what holds on one database must hold on both.

They run as they are, in a pytest of their own with ``DATABASE_URL`` set. ``MCC_TEST_SOAK=1`` runs the long ones only.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import migrated
from tests.servers import PostgresServer

ROOT = Path(__file__).resolve().parent.parent
SOAK = os.environ.get("MCC_TEST_SOAK") == "1"
LONG = [
    "budgets/tests/test_invariants.py",
    "budgets/tests/test_concurrency.py",
    "agents/tests/test_bill.py",
    "agents/tests/test_gateway_killed.py",
]
MONEY = (
    LONG
    if SOAK
    else [
        *LONG,
        *(
            f"budgets/tests/test_{name}.py"
            for name in ("ledger", "sweep", "alerts", "audit", "deciding", "reconciling")
        ),
    ]
)

SHOWN = [
    *(f"budgets/tests/test_{name}.py" for name in ("queries", "time_zone", "forecasts")),
    "projects/tests/test_usage.py",
    "agents/tests/test_outcomes.py",
]
"""What pages, exports and the API say of the books."""

SIZES = ["tests/test_money_at_any_size.py"]
"""What its plans do hangs on the statistics, so on what else went through the database: it gets one of its own."""

WRITTEN = [f"mcc/core/tests/test_{name}.py" for name in ("handwritten", "prepared", "compiled")]
"""Statements that reach the driver directly."""

CLAIMED = [
    *(f"githubsync/tests/test_{name}.py" for name in ("webhooks", "deliveries", "polling", "catching_up")),
    "githubsync/tests/test_user_tokens.py",
    "agents/tests/test_walls.py",
    "agents/tests/test_turns.py",
]
"""What one process must do and no other as well. They share a database with the ones above."""


@pytest.mark.postgres
@pytest.mark.parametrize(
    "files",
    [MONEY] if SOAK else [MONEY, [*SHOWN, *WRITTEN, *CLAIMED], SIZES],
    ids=["books"] if SOAK else ["books", "shown", "sizes"],
)
@pytest.mark.timeout(7_200 if SOAK else 1_800)
def test_they_pass_on_postgresql(files, postgres_url, record_property):
    # This pytest's own options and workers are none of that one's.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    database = {"DATABASE_URL": postgres_url, migrated.TEMPLATE: PostgresServer.MIGRATED}

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files],
        cwd=ROOT,
        env=inherited | database,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-5_000:]
    for line in done.stdout.splitlines():
        if "on postgresql" in line or " passed in " in line:
            record_property("did", line)
