"""Every usage there is gets the run that it was for, by the name of its attempt."""

import re

from django.db import migrations

BATCH = 2_000
ATTEMPT = re.compile(r"run:(\d+)/")


def attribute(apps, schema_editor):
    usage, run = apps.get_model("budgets", "Usage"), apps.get_model("agents", "Run")
    charge = apps.get_model("agents", "Charge")
    last = 0
    while rows := list(usage.objects.filter(pk__gt=last).order_by("pk").values_list("pk", "hold__reference")[:BATCH]):
        found = {pk: int(match[1]) for pk, reference in rows if (match := ATTEMPT.match(reference))}
        runs = set(run.objects.filter(pk__in=set(found.values())).values_list("pk", flat=True))
        charge.objects.bulk_create(
            [charge(usage_id=pk, run_id=key) for pk, key in found.items() if key in runs], ignore_conflicts=True
        )
        last = rows[-1][0]


class Migration(migrations.Migration):
    dependencies = [("agents", "0011_charge")]
    operations = [migrations.RunPython(attribute, migrations.RunPython.noop)]
