"""Each role that has agents has its account, which was opened only when one of them first spent."""

from django.db import migrations


def open_accounts(apps, schema_editor):
    accounts = apps.get_model("budgets", "Account").objects.using(schema_editor.connection.alias)
    agents = apps.get_model("agents", "Agent").objects.using(schema_editor.connection.alias)
    for role in agents.order_by().values_list("role", flat=True).distinct():
        accounts.get_or_create(kind="agent_type", name=role)


class Migration(migrations.Migration):
    dependencies = [("agents", "0023_outputs_by_age"), ("budgets", "0019_split_sums")]
    operations = [migrations.RunPython(open_accounts, migrations.RunPython.noop)]
