from django.db import migrations, models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Migration(migrations.Migration):
    dependencies = [("taskrouting", "0005_figures")]

    operations = [
        migrations.CreateModel(
            name="Alarm",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("kind", models.CharField(max_length=50, verbose_name=_("kind"))),
                (
                    "subject",
                    models.CharField(blank=True, max_length=255, verbose_name=_("subject")),
                ),
                ("raised_at", models.DateTimeField(null=True, verbose_name=_("raised at"))),
                ("told_at", models.DateTimeField(null=True, verbose_name=_("last told at"))),
                (
                    "heard_at",
                    models.DateTimeField(db_default=Now(), verbose_name=_("last heard of at")),
                ),
                ("mark", models.BigIntegerField(default=0, verbose_name=_("looked up to"))),
            ],
            options={
                "verbose_name": _("alarm"),
                "verbose_name_plural": _("alarms"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("kind", "subject"), name="taskrouting_alarm_once"
                    )
                ],
            },
        ),
    ]
