"""The total of every account is the sum of its days."""

from django.db import migrations, models


def fill(apps, schema_editor):
    total, day = apps.get_model("budgets", "TotalSpend"), apps.get_model("budgets", "DaySpend")
    sums = day.objects.order_by().values_list("account").annotate(models.Sum("amount_nanousd"))
    total.objects.bulk_create([total(account_id=key, amount_nanousd=amount) for key, amount in sums], batch_size=500)


class Migration(migrations.Migration):
    dependencies = [("budgets", "0011_total_spend")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
