"""Many usage rows in little time: a year of a company, written by the database itself."""

from datetime import timedelta

from django.db import connection
from django.utils import timezone

from budgets.models import Account, Hold, Limit, Posting, Usage
from budgets.services import accounts, rollups

DAYS = 325
MODELS = 6
NUMBERS = {
    "postgresql": "SELECT n FROM generate_series(%s, %s) AS n",
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT %s UNION ALL SELECT n + 1 FROM s WHERE n < %s) SELECT n FROM s",
}
AT = {
    "postgresql": "(%s::timestamptz - (n %% {days}) * interval '1 day' - (n %% 79999) * interval '1 second')",
    "sqlite": (
        "strftime('%%Y-%%m-%%d %%H:%%M:%%f', %s, '-' || (n %% {days}) || ' days', '-' || (n %% 79999) || ' seconds')"
    ),
}
BATCH = 500_000


def seed(count: int) -> None:
    """Write ``count`` usages with a hold and five postings each: company, kind of agent, agent, project, issue."""
    kinds = Account.Kind
    groups = [
        [accounts.global_account()],
        [accounts.agent_type_account(role) for role in ("architect", "coder", "tester", "reviewer")],
        _open(kinds.AGENT, 499),
        _open(kinds.PROJECT, 50),
        _open(kinds.ISSUE, max(100, count // 500)),
    ]
    for first in range(1, count + 1, BATCH):
        _write(first, min(count, first + BATCH - 1), groups)
    rollups.rebuild()
    for account in (groups[0][0], *groups[2][:20], *groups[3]):
        accounts.set_limit(account, 10**15, period=Limit.Period.MONTHLY)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _open(kind: Account.Kind, count: int) -> list[Account]:
    Account.objects.bulk_create([Account(kind=kind, name=f"{kind} {number:05}") for number in range(count)])
    return list(Account.objects.filter(kind=kind).order_by("pk"))[-count:]


def _write(first: int, last: int, groups: list[list[Account]]) -> None:
    """Write the usages numbered ``first`` to ``last``; their keys are their numbers."""
    vendor = connection.vendor
    numbers, at = NUMBERS[vendor], AT[vendor].format(days=DAYS)
    now = timezone.now() - timedelta(minutes=1)
    stamp = now.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00") if vendor == "sqlite" else now
    cost = "(1 + (n * 7919) %% 9000000)"
    hold, usage, posting = (model._meta.db_table for model in (Hold, Usage, Posting))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {hold} (id, reference, state, amount_nanousd, model, provider, lease_until, created_at, "  # noqa: S608
            f"note) "
            f"SELECT n, 'seed:' || n, 'captured', {cost}, 'acme/' || (n %% {MODELS}), 'acme', {at}, {at}, '' "
            f"FROM ({numbers}) AS numbers",
            [stamp, stamp, first, last],
        )
        cursor.execute(
            f"INSERT INTO {usage} (id, hold_id, at, model_asked, model_used, provider, input_tokens, output_tokens, "  # noqa: S608
            f"cached_tokens, cache_write_tokens, reasoning_tokens, cost_nanousd, cost_source, overrun_nanousd) "
            f"SELECT n, n, {at}, 'acme/' || (n %% {MODELS}), 'acme/' || (n %% {MODELS}), 'acme', 1000 + n %% 5000, "
            f"n %% 900, 0, 0, 0, {cost}, 'response', 0 FROM ({numbers}) AS numbers",
            [stamp, first, last],
        )
        for step, group in enumerate(groups, start=1):
            # Each account sees its own mix: what divides the numbers differs from group to group.
            place = f"((n / {step}) * 31 + n) %% {len(group)}"
            cursor.execute(
                f"INSERT INTO {posting} (usage_id, account_id, amount_nanousd, at) "  # noqa: S608
                f"SELECT n, {_account(group, place)}, {cost}, {at} FROM ({numbers}) AS numbers",
                [stamp, first, last],
            )


def _account(group: list[Account], place: str) -> str:
    """Return the key of the account at ``place`` of the group, as SQL."""
    keys = [account.pk for account in group]
    if keys == list(range(keys[0], keys[0] + len(keys))):
        return f"{keys[0]} + {place}"
    return f"CASE {place} {' '.join(f'WHEN {number} THEN {key}' for number, key in enumerate(keys))} END"
