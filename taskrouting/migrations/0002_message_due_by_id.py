from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("taskrouting", "0001_initial")]

    operations = [
        migrations.RemoveIndex(model_name="message", name="taskrouting_message_due"),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                models.F("queue"),
                models.OrderBy(models.F("priority"), descending=True),
                models.F("available_at"),
                models.F("id"),
                name="taskrouting_message_due",
            ),
        ),
    ]
