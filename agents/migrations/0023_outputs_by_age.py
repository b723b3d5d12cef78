from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("agents", "0022_openrouter_by_name")]

    operations = [
        migrations.AlterField("artifact", "created_at", models.DateTimeField(auto_now_add=True, db_index=True)),
    ]
