"""The sums per day say what was asked of which endpoint; empty until they are added up anew."""

from django.db import migrations, models

KEY = ("account", "day", "model", "provider", "source")


class Migration(migrations.Migration):
    dependencies = [("budgets", "0019_split_sums")]
    operations = [
        migrations.RemoveConstraint(model_name="dayspend", name="day_spend_once"),
        migrations.AlterField(
            model_name="dayspend",
            name="provider",
            field=models.CharField(
                blank=True, help_text="who answered; behind a broker, who runs the model", max_length=100
            ),
        ),
        migrations.AddField(
            model_name="dayspend",
            name="model_asked",
            field=models.CharField(default="", help_text="the model that was asked for", max_length=200),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name="dayspend",
            name="endpoint",
            field=models.CharField(
                blank=True, default="", help_text="name of the provider that was called", max_length=100
            ),
            preserve_default=False,
        ),
        migrations.AddConstraint(
            model_name="dayspend",
            constraint=models.UniqueConstraint(fields=(*KEY, "model_asked", "endpoint"), name="day_spend_once"),
        ),
    ]
