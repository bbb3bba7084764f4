import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0012_attachments'),
    ]

    operations = [
        migrations.AddField(
            model_name='conversation',
            name='leaf',
            field=models.ForeignKey(blank=True, editable=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='chat.message', verbose_name='end of the shown branch'),
        ),
    ]
