import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

SOURCES = [
    ("response", "the response's usage.cost"),
    ("generation", "the provider's record of the generation"),
    ("price_list", "tokens times list price"),
    ("presumed", "nobody could say: charged at the hold"),
    ("by_hand", "a person, by the provider's bill"),
]
VERDICTS = [
    ("nothing_sent", "Nothing was sent: give it back"),
    ("charge_hold", "It may have been billed: charge what is set aside"),
    ("charge_amount", "It was billed: charge the amount"),
]


class Migration(migrations.Migration):
    dependencies = [
        ("budgets", "0022_days_are_compared_again"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AlterField("dayspend", "source", models.CharField(choices=SOURCES, max_length=10)),
        migrations.AlterField("usage", "cost_source", models.CharField(choices=SOURCES, max_length=10)),
        migrations.CreateModel(
            name="HoldDecision",
            fields=[
                (
                    "hold",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="decision",
                        serialize=False,
                        to="budgets.hold",
                    ),
                ),
                ("verdict", models.CharField(choices=VERDICTS, max_length=13)),
                ("charged_nanousd", models.BigIntegerField(default=0)),
                ("reason", models.CharField(max_length=300)),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={"abstract": False},
        ),
    ]
