from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('chat', '0008_conversations_kept'),
    ]

    operations = [
        migrations.AddField(
            model_name='conversation',
            name='title_is_first_words',
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
