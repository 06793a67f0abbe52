from django.db import migrations, models
from django.utils.translation import gettext_lazy as _


class Migration(migrations.Migration):
    dependencies = [("taskrouting", "0002_message_due_by_id")]

    operations = [
        migrations.AlterField(
            model_name="message",
            name="event_id",
            field=models.CharField(blank=True, max_length=255, verbose_name=_("event id")),
        ),
        migrations.AlterField(
            model_name="message",
            name="token",
            field=models.UUIDField(null=True, verbose_name=_("token")),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(fields=["event_id"], name="taskrouting_message_event"),
        ),
        migrations.AddIndex(
            model_name="message",
            index=models.Index(
                condition=models.Q(("token__isnull", False)),
                fields=["token"],
                name="taskrouting_message_token",
            ),
        ),
    ]
