"""The total of every account counts its calls and tokens, too."""

from django.db import migrations, models
from django.db.models import Sum

ADDED = ("generations", "input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")


def fill(apps, schema_editor):
    total, day = apps.get_model("budgets", "TotalSpend"), apps.get_model("budgets", "DaySpend")
    sums = day.objects.order_by().values_list("account").annotate(*(Sum(name) for name in ADDED))
    rows = [total(account_id=key, **dict(zip(ADDED, values, strict=True))) for key, *values in sums]
    total.objects.bulk_update(rows, ADDED, batch_size=100)


class Migration(migrations.Migration):
    dependencies = [("budgets", "0014_open_holds")]
    operations = [
        *(
            migrations.AddField(model_name="totalspend", name=name, field=models.PositiveBigIntegerField(default=0))
            for name in ADDED
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
