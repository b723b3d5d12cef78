from django.db import migrations

AMOUNTS = (
    "input_nanousd_per_mtok",
    "output_nanousd_per_mtok",
    "cache_read_nanousd_per_mtok",
    "cache_write_nanousd_per_mtok",
    "request_nanousd",
)


def begin(apps, schema_editor):
    Price, PriceVersion = apps.get_model("budgets", "Price"), apps.get_model("budgets", "PriceVersion")
    PriceVersion.objects.bulk_create(
        PriceVersion(price=price, valid_from=price.updated_at, **{name: getattr(price, name) for name in AMOUNTS})
        for price in Price.objects.all()
    )


def forget(apps, schema_editor):
    apps.get_model("budgets", "PriceVersion").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("budgets", "0009_price_versions")]
    operations = [migrations.RunPython(begin, forget)]
