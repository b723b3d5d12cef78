"""Many usage rows in little time: a year of a company, written by the database itself.

The latest usage is the one with the highest key, as it is where they are written one by one. An issue is worked on for
500 usages and then over; agents, projects and models take turns.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection, transaction
from django.utils import timezone

from bench import endings
from budgets.models import Account, Limit, Usage
from budgets.services import accounts, ledger
from budgets.services.bill import Bill
from budgets.summed import MEASURES

DAYS = 325
MODELS = 6
PER_ISSUE = 500
ROLES = ("architect", "coder", "tester", "reviewer")
BATCH = 250_000
BIG = ("budgets_hold", "budgets_holdline", "budgets_usage", "budgets_posting")
CHARGED_LATE = 20_000
"""One usage in so many was never explained by the provider, and is charged at its hold."""
LOST, UNDER_WAY = 20, 40
"""Calls of which nobody knows what they cost, and calls that nobody has answered yet."""
NUMBERS = {
    "postgresql": "SELECT n FROM generate_series(%s::bigint, %s::bigint) AS n",
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT %s UNION ALL SELECT n + 1 FROM s WHERE n < %s) SELECT n FROM s",
}
AT = {
    "postgresql": "to_timestamp(%s + n * %s)",
    "sqlite": "strftime('%%Y-%%m-%%d %%H:%%M:%%f', %s + n * %s, 'unixepoch')",
}
DAY = {"postgresql": "(at AT TIME ZONE 'UTC')::date", "sqlite": "date(at)"}


def _summed(table: str, name: str = "", only: str = "TRUE") -> str:
    """Return the statement that folds in what was written, by ``name`` as well."""
    told = ["account_id", "day", "model", "provider", "source", "model_asked", "endpoint", *filter(None, [name])]
    more = f", {name}" if name else ""
    added = ", ".join(f"{measure} = {table}.{measure} + excluded.{measure}" for measure in MEASURES)
    return (
        f"INSERT INTO {table} ({', '.join((*told, *MEASURES))}) SELECT account_id, day, model, 'acme', source, model, "  # noqa: S608
        f"'acme'{more}, SUM(cost), COUNT(*), SUM(input), 0, SUM(output), 0 FROM bench_paid WHERE {only} "
        f"GROUP BY account_id, day, model, source{more} ON CONFLICT ({', '.join(told)}) DO UPDATE SET {added}"
    )


WRITTEN = (
    "INSERT INTO budgets_hold (id, reference, state, amount_nanousd, model, provider, lease_until, created_at, "
    "sent_at, settled_at, note) SELECT n, 'seed:' || (1000000000 + n), 'captured', cost, model, 'acme', at, at, at, "
    "at, '' FROM bench_one",
    "INSERT INTO budgets_holdline (hold_id, account_id) SELECT n, account_id FROM bench_paid",
    "INSERT INTO budgets_usage (id, hold_id, at, model_asked, model_used, provider, input_tokens, output_tokens, "
    "cached_tokens, cache_write_tokens, reasoning_tokens, cost_nanousd, cost_source, overrun_nanousd) "
    "SELECT n, n, at, model, model, 'acme', input, output, 0, 0, 0, cost, source, 0 FROM bench_one",
    "INSERT INTO budgets_posting (usage_id, account_id, amount_nanousd, at) SELECT n, account_id, cost, at "
    "FROM bench_paid",
    "INSERT INTO agents_charge (usage_id, run_id) SELECT n, run_id FROM bench_one",
    _summed("budgets_dayspend"),
    _summed("agents_outcomespend", "outcome", "outcome <> ''"),
    _summed("agents_runspend", "run_id", "outcome = ''"),
)
INDEXES = {
    "postgresql": (
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname NOT IN "
        "(SELECT conname FROM pg_constraint WHERE contype IN ('p', 'u'))"
    ),
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = %s",
}

Groups = Sequence[Sequence[Account]]


def seed(count: int) -> None:
    """Write ``count`` usages with a hold of five lines and five postings each, and what goes with them."""
    groups = company(agents=499, projects=50, issues=max(100, count // PER_ISSUE))
    with _quickly(), _without_indexes():
        write(groups, 1, count)
    stand(groups)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def company(*, agents: int, projects: int, issues: int) -> Groups:
    """Open the accounts that pay: of each group one pays for a usage."""
    kinds = Account.Kind
    return [
        [accounts.global_account()],
        [accounts.agent_type_account(role) for role in ROLES],
        _open(kinds.AGENT, agents),
        _open(kinds.PROJECT, projects),
        _open(kinds.ISSUE, issues),
    ]


def _open(kind: Account.Kind, count: int) -> list[Account]:
    Account.objects.bulk_create([Account(kind=kind, name=f"{kind} {number:05}") for number in range(count)])
    return list(Account.objects.filter(kind=kind).order_by("pk"))[-count:]


def write(groups: Groups, first: int, last: int) -> None:
    """Write usages over the year and fold them in; their keys are the numbers from ``first`` to ``last``."""
    # The numbers say who pays, as rows of a table: a formula in the statement would be worked out for each row.
    step_s = DAYS * 86_400 / (last - first + 1)
    begun_s = (timezone.now() - timedelta(minutes=1, days=DAYS)).timestamp() - first * step_s
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE bench_payer (step integer, place integer, account_id bigint)")
        payers = [(step, place, one.pk) for step, group in enumerate(groups) for place, one in enumerate(group)]
        cursor.executemany("INSERT INTO bench_payer VALUES (%s, %s, %s)", payers)
        cursor.execute("CREATE UNIQUE INDEX bench_payer_place ON bench_payer (step, place)")
        cursor.execute("CREATE TEMPORARY TABLE bench_run (place integer PRIMARY KEY, run_id bigint, outcome text)")
        cursor.executemany("INSERT INTO bench_run VALUES (%s, %s, %s)", list(endings.write(range(first, last + 1))))
        for start in range(first, last + 1, BATCH):
            with transaction.atomic():
                numbered = [begun_s, step_s, start, min(last, start + BATCH - 1)]
                cursor.execute(f"CREATE TEMPORARY TABLE bench_one AS {_ones()}", numbered)
                cursor.execute(f"CREATE TEMPORARY TABLE bench_paid AS {_paid(groups)}")
                for sql in WRITTEN:
                    cursor.execute(sql)
                cursor.execute("DROP TABLE bench_one")
                cursor.execute("DROP TABLE bench_paid")
        cursor.execute("DROP TABLE bench_payer")
        cursor.execute("DROP TABLE bench_run")
        if connection.vendor == "postgresql":
            for table in BIG[::2]:
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")  # noqa: S608


def _ones() -> str:
    """Each usage once, with its day, in UTC."""
    vendor = connection.vendor
    return (
        f"SELECT n, run_id, outcome, at, {DAY[vendor]} AS day, 'acme/' || (n %% {MODELS}) AS model, "  # noqa: S608
        f"1 + (n * 7919) %% 9000000 AS cost, 1000 + n %% 5000 AS input, n %% 900 AS output, "
        f"CASE WHEN n %% {CHARGED_LATE} = 0 THEN 'presumed' ELSE 'response' END AS source "
        f"FROM (SELECT n, {AT[vendor]} AS at FROM ({NUMBERS[vendor]}) AS numbers) AS ones "
        f"JOIN bench_run ON place = {endings.PLACE}"
    )


def _paid(groups: Groups) -> str:
    """Each usage once for each account that pays for it."""
    # Each group sees its own mix; of issues one comes after the other.
    places = [f"(n / {step + 1} * 31 + n) % {len(group)}" for step, group in enumerate(groups[:-1])]
    places.append(f"(n / {PER_ISSUE}) % {len(groups[-1])}")
    place = f"CASE step {' '.join(f'WHEN {step} THEN {place}' for step, place in enumerate(places))} END"
    steps = " UNION ALL ".join(f"SELECT {step} AS step" for step in range(len(groups)))
    return (
        f"SELECT paid.*, payer.account_id FROM (SELECT one.*, step, {place} AS place FROM bench_one one "  # noqa: S608
        f"CROSS JOIN ({steps}) steps) paid JOIN bench_payer payer ON payer.step = paid.step "
        "AND payer.place = paid.place"
    )


def stand(groups: Groups) -> None:
    """Add the totals up, set limits, and let the ledger itself make calls that are not folded in, and open ones."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO budgets_totalspend (account_id, {', '.join(MEASURES)}) SELECT account_id, "  # noqa: S608
            f"{', '.join(f'SUM({name})' for name in MEASURES)} FROM budgets_dayspend GROUP BY account_id"
        )
    for account in (groups[0][0], *groups[2][:20], *groups[3]):
        accounts.set_limit(account, 10**15, period=Limit.Period.MONTHLY)
    for number in range(UNDER_WAY):
        hold = ledger.hold([group[0] for group in groups[1:]], 10**6, reference=f"late:{number}", model="acme/0")
        ledger.capture(hold, _bill(number))
    open_holds(groups)


def open_holds(groups: Groups, name: str = "bench") -> None:
    """Call ``LOST + UNDER_WAY`` times, and leave it open what it cost."""
    now = timezone.now()
    for number in range(LOST + UNDER_WAY):
        payers = [group[number % len(group)] for group in groups[1:]]
        at = now - timedelta(hours=2) if number < LOST else now
        hold = ledger.hold(payers, 10**6, reference=f"{name}:{number}", model="acme/0", provider="acme", at=at)
        if number < LOST:
            ledger.lose(hold)


def _bill(number: int) -> Bill:
    return Bill(
        generation_id=f"bench-{number}",
        model_used="acme/0",
        provider="acme",
        input_tokens=1_000,
        output_tokens=100,
        cached_tokens=0,
        cache_write_tokens=0,
        reasoning_tokens=0,
        cost_nanousd=900_000,
        source=Usage.Source.RESPONSE,
    )


@contextmanager
def _quickly() -> Iterator[None]:
    """Let SQLite write without a log and without a flush: what is half written here is thrown away."""
    if connection.vendor != "sqlite":
        yield
        return
    usual = ("journal_mode=WAL", "synchronous=NORMAL", "temp_store=MEMORY", "cache_size=-20000")
    for pragmas in (("journal_mode=OFF", "synchronous=OFF", "temp_store=FILE", "cache_size=-2000000"), usual):
        with connection.cursor() as cursor:
            for pragma in pragmas:
                cursor.execute(f"PRAGMA {pragma}")
        if pragmas is not usual:
            yield


@contextmanager
def _without_indexes() -> Iterator[None]:
    """Take the indexes away that are no constraints, and make them from the whole afterwards."""
    with connection.cursor() as cursor:
        found: list[tuple[str, str]] = []
        for table in BIG:
            cursor.execute(INDEXES[connection.vendor], [table])
            found += cursor.fetchall()
        for name, _ in found:
            cursor.execute(f'DROP INDEX "{name}"')
        yield
        for _, sql in found:
            cursor.execute(sql)
