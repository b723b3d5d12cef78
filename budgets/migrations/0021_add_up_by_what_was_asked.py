"""The sums per day are added up anew from the postings, by what was asked of which endpoint, one account after the
other, each in a transaction of its own: once killed, it goes on with those that are left.
"""

from zoneinfo import ZoneInfo

from django.db import migrations, transaction
from django.db.models import Count, F, Sum
from django.db.models.functions import TruncDate

FOLD = 0x6D636364
"""The advisory lock of whoever folds."""
TOKENS = ("input_tokens", "cached_tokens", "output_tokens", "reasoning_tokens")
SUMS = ("amount_nanousd", "generations", *TOKENS)
TOLD = {
    "model": "usage__model_used",
    "provider": "usage__provider",
    "source": "usage__cost_source",
    "model_asked": "usage__model_asked",
    "endpoint": "usage__hold__provider",
}


def split(apps, schema_editor):
    days, calendar = apps.get_model("budgets", "DaySpend"), apps.get_model("budgets", "Calendar")
    zone = ZoneInfo(calendar.objects.values_list("zone", flat=True).first() or "UTC")
    for account in list(days.objects.filter(model_asked="").order_by().values_list("account", flat=True).distinct()):
        with transaction.atomic():
            if schema_editor.connection.vendor == "postgresql":
                schema_editor.execute("SELECT pg_advisory_xact_lock(%s)", [FOLD])
            added_up = list(_added_up(apps, account, zone))
            days.objects.filter(account=account).delete()
            days.objects.bulk_create(added_up, batch_size=500)


def _added_up(apps, account, zone):
    days, postings = apps.get_model("budgets", "DaySpend"), apps.get_model("budgets", "Posting")
    waiting = apps.get_model("budgets", "Unfolded").objects.filter(account=account).values("pk")
    rows = postings.objects.filter(account=account).exclude(pk__in=waiting).order_by()
    rows = rows.values_list(TruncDate("at", tzinfo=zone), *(F(name) for name in TOLD.values()))
    for day, *told in rows.annotate(Sum("amount_nanousd"), Count("pk"), *(Sum(f"usage__{name}") for name in TOKENS)):
        key, sums = zip(TOLD, told, strict=False), zip(SUMS, told[len(TOLD) :], strict=True)
        yield days(account_id=account, day=day, **dict(key), **dict(sums))


def join(apps, schema_editor):
    """Add up what differs only in what was asked of which endpoint, for the constraint that it was under."""
    days = apps.get_model("budgets", "DaySpend")
    key = ("account", "day", "model", "provider", "source")
    rows = days.objects.order_by().values_list(*key).annotate(n=Count("pk")).filter(n__gt=1)
    for *values, _ in list(rows):
        with transaction.atomic():
            same = days.objects.filter(**dict(zip(key, values, strict=True)))
            sums = same.aggregate(**{name: Sum(name) for name in SUMS})
            same.delete()
            account, *told = values
            days.objects.create(account_id=account, **dict(zip(key[1:], told, strict=True)), **sums)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("budgets", "0020_what_was_asked_in_sums")]
    operations = [migrations.RunPython(split, join)]
