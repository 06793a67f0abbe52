from django.db import migrations, models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Migration(migrations.Migration):
    dependencies = [("taskrouting", "0006_alerts")]

    operations = [
        migrations.CreateModel(
            name="Pause",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("queue", models.CharField(max_length=255, unique=True, verbose_name=_("queue"))),
                ("actor", models.CharField(blank=True, max_length=255, verbose_name=_("actor"))),
                ("reason", models.TextField(blank=True, verbose_name=_("reason"))),
                ("since", models.DateTimeField(db_default=Now(), verbose_name=_("since"))),
            ],
            options={
                "verbose_name": _("pause"),
                "verbose_name_plural": _("pauses"),
                "permissions": [("pause_queue", _("Can pause and resume queues"))],
                "default_permissions": (),
            },
        ),
        migrations.AlterModelOptions(
            name="workerprocess",
            options={
                "permissions": [("stop_workerprocess", _("Can stop and restart worker processes"))],
                "verbose_name": _("worker process"),
                "verbose_name_plural": _("worker processes"),
            },
        ),
        # Workers of the release before write rows while a deployment rolls on, and know none of
        # these: so each may be empty, or has its default in the database.
        migrations.AddField(
            model_name="workerprocess",
            name="busy",
            field=models.PositiveIntegerField(null=True, verbose_name=_("threads busy")),
        ),
        migrations.AddField(
            model_name="workerprocess",
            name="in_hand",
            field=models.PositiveIntegerField(null=True, verbose_name=_("messages in hand")),
        ),
        migrations.AddField(
            model_name="workerprocess",
            name="memory",
            field=models.PositiveBigIntegerField(null=True, verbose_name=_("resident memory")),
        ),
        migrations.AddField(
            model_name="workerprocess",
            name="order",
            field=models.CharField(
                blank=True,
                choices=[
                    ("restart", _("make room for a fresh process")),
                    ("stop", _("stop")),
                ],
                db_default="",
                max_length=10,
                verbose_name=_("asked to"),
            ),
        ),
        migrations.AddField(
            model_name="workerprocess",
            name="ordered_by",
            field=models.CharField(
                blank=True, db_default="", max_length=255, verbose_name=_("asked by")
            ),
        ),
    ]
