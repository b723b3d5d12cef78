from django.db import migrations, models
from django.db.models import Max, Q


def keep_newest(apps, schema_editor):
    """One comparison a day is all that the constraint before allowed: the newest, which is the one that counts."""
    rows = apps.get_model("budgets", "Reconciliation").objects.filter(source="activity").order_by()
    newest = rows.values("provider", "day").annotate(newest=Max("pk")).values_list("newest", flat=True)
    rows.exclude(pk__in=list(newest)).delete()


class Migration(migrations.Migration):
    atomic = False  # on its way back PostgreSQL makes no index beside rows that it has yet to check
    dependencies = [("budgets", "0021_add_up_by_what_was_asked")]
    operations = [
        migrations.RemoveConstraint(model_name="reconciliation", name="reconciliation_once_per_day"),
        migrations.AddIndex(
            model_name="reconciliation",
            index=models.Index(condition=Q(("source", "activity")), fields=["day"], name="reconciliation_of_day"),
        ),
        migrations.RunPython(migrations.RunPython.noop, keep_newest),
    ]
