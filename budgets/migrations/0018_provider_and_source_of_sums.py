"""The sums per day say at which provider, and who said what it cost; empty until they are added up anew."""

from django.db import migrations, models

SOURCES = (
    ("response", "the response's usage.cost"),
    ("generation", "the provider's record of the generation"),
    ("price_list", "tokens times list price"),
    ("presumed", "nobody could say: charged at the hold"),
)


class Migration(migrations.Migration):
    dependencies = [("budgets", "0017_accounts_by_kind")]
    operations = [
        migrations.RemoveConstraint(model_name="dayspend", name="day_spend_once"),
        migrations.AddField(
            model_name="dayspend",
            name="provider",
            field=models.CharField(blank=True, default="", max_length=100),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="dayspend",
            name="source",
            field=models.CharField(choices=SOURCES, default="", max_length=10),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            model_name="dayspend",
            constraint=models.UniqueConstraint(
                fields=("account", "day", "model", "provider", "source"), name="day_spend_once"
            ),
        ),
    ]
