"""Every posting there is waits to be folded into the sums per day."""

from datetime import timezone

from django.db import migrations

BATCH = 2_000


def unfold(apps, schema_editor):
    posting, unfolded = apps.get_model("budgets", "Posting"), apps.get_model("budgets", "Unfolded")
    last = 0
    while rows := list(posting.objects.filter(pk__gt=last).order_by("pk")[:BATCH]):
        unfolded.objects.bulk_create(
            [
                unfolded(
                    posting_id=row.pk,
                    account_id=row.account_id,
                    day=row.at.astimezone(timezone.utc).date(),
                    amount_nanousd=row.amount_nanousd,
                )
                for row in rows
            ],
            ignore_conflicts=True,
        )
        last = rows[-1].pk


class Migration(migrations.Migration):
    dependencies = [("budgets", "0002_day_spend")]
    operations = [migrations.RunPython(unfold, migrations.RunPython.noop)]
