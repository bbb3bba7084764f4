from django.conf import settings
from django.db import migrations, models

from chat.models import search_index


def create_search_index(apps, schema_editor):
    search_index.create(schema_editor.connection)


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0017_continues'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddIndex(
            model_name='conversation',
            index=models.Index(condition=models.Q(('tag_lines', ''), _negated=True), fields=['owner', '-updated_at', '-id'], name='conversation_tagged'),
        ),
        # It says of each text what conversation it is of. What came before reads it as well.
        migrations.RunPython(create_search_index, migrations.RunPython.noop),
    ]
