"""Four indexes say nothing that others do not: those of the constraints begin with the same column.

By hand, for Django would write the table of postings anew on SQLite, which takes minutes for millions of them.
"""

import django.db.models.deletion
from django.db import migrations, models

NEEDLESS = {
    "budgets_dayspend_account_id_4f042df4": 'budgets_dayspend ("account_id")',
    "budgets_holdline_hold_id_7f3084fb": 'budgets_holdline ("hold_id")',
    "budgets_posting_account_id_5ea1c411": 'budgets_posting ("account_id")',
    "budgets_posting_usage_id_9201a064": 'budgets_posting ("usage_id")',
}
KEYS = (
    ("dayspend", "account", "budgets.account", django.db.models.deletion.PROTECT, "day_spends"),
    ("holdline", "hold", "budgets.hold", django.db.models.deletion.CASCADE, "lines"),
    ("posting", "account", "budgets.account", django.db.models.deletion.PROTECT, "postings"),
    ("posting", "usage", "budgets.usage", django.db.models.deletion.PROTECT, "postings"),
)


class Migration(migrations.Migration):
    dependencies = [("budgets", "0015_totals_of_tokens")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(f'DROP INDEX IF EXISTS "{name}"', f'CREATE INDEX "{name}" ON {columns}')
                for name, columns in NEEDLESS.items()
            ],
            state_operations=[
                migrations.AlterField(
                    model_name=model,
                    name=name,
                    field=models.ForeignKey(db_index=False, on_delete=deletion, related_name=related, to=to),
                )
                for model, name, to, deletion, related in KEYS
            ],
        )
    ]
