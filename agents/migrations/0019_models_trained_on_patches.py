import re

from django.db import migrations

# As agents.offer had it then.
TRAINED_ON_PATCHES = re.compile(r"(^|/)(gpt-4\.1|gpt-5|codex|o3|o4)", re.IGNORECASE)


def let_patch(apps, schema_editor):
    cards = apps.get_model("agents", "ModelCard").objects.using(schema_editor.connection.alias)
    trained = [pk for pk, name in cards.values_list("pk", "name") if TRAINED_ON_PATCHES.search(name)]
    for first in range(0, len(trained), 500):
        cards.filter(pk__in=trained[first : first + 500]).update(patches=True)


class Migration(migrations.Migration):
    dependencies = [("agents", "0018_model_patches")]
    operations = [migrations.RunPython(let_patch, migrations.RunPython.noop)]
