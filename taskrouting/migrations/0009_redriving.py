from django.db import migrations, models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Migration(migrations.Migration):
    dependencies = [("taskrouting", "0008_story")]

    operations = [
        migrations.AlterModelOptions(
            name="auditlog",
            options={
                "permissions": [("export_auditlog", _("Can export the audit log"))],
                "verbose_name": _("audit log entry"),
                "verbose_name_plural": _("audit log"),
            },
        ),
        migrations.AlterModelOptions(
            name="deadletter",
            options={
                "permissions": [
                    ("redrive_deadletter", _("Can redrive dead letters")),
                    ("discard_deadletter", _("Can discard dead letters")),
                    ("export_deadletter", _("Can export dead letters")),
                ],
                "verbose_name": _("dead letter"),
                "verbose_name_plural": _("dead letters"),
            },
        ),
        migrations.AlterModelOptions(
            name="delivery",
            options={
                "permissions": [("export_delivery", _("Can export deliveries"))],
                "verbose_name": _("delivery"),
                "verbose_name_plural": _("deliveries"),
            },
        ),
        migrations.AlterModelOptions(
            name="message",
            options={
                "permissions": [("export_message", _("Can export waiting messages"))],
                "verbose_name": _("waiting message"),
                "verbose_name_plural": _("waiting messages"),
            },
        ),
        migrations.AddField(
            model_name="deadletter",
            name="cause",
            field=models.CharField(
                blank=True, db_default="", default="", max_length=255, verbose_name=_("cause")
            ),
        ),
        migrations.AddIndex(
            model_name="deadletter",
            index=models.Index(
                models.F("queue"),
                models.F("subscription"),
                models.F("cause"),
                models.F("id"),
                condition=models.Q(("resolved_at", None)),
                name="taskrouting_deadletter_cause",
            ),
        ),
        migrations.AddIndex(
            model_name="deadletter",
            index=models.Index(
                models.F("id"),
                condition=models.Q(("resolved_at", None)),
                name="taskrouting_deadletter_open_id",
            ),
        ),
        migrations.CreateModel(
            name="Sweep",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                (
                    "deed",
                    models.CharField(
                        choices=[("redrive", _("redrive")), ("discard", _("discard"))],
                        max_length=10,
                        verbose_name=_("deed"),
                    ),
                ),
                ("chosen", models.JSONField(default=dict, verbose_name=_("chosen"))),
                ("upto", models.BigIntegerField(verbose_name=_("highest number"))),
                ("matched", models.PositiveIntegerField(verbose_name=_("matched"))),
                ("more", models.BooleanField(default=False, verbose_name=_("and more"))),
                ("rate", models.PositiveIntegerField(verbose_name=_("rate"))),
                ("note", models.TextField(blank=True, verbose_name=_("note"))),
                ("actor", models.CharField(blank=True, max_length=255, verbose_name=_("actor"))),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("running", _("running")),
                            ("finished", _("finished")),
                            ("stopped", _("stopped")),
                            ("failed", _("failed")),
                        ],
                        default="running",
                        max_length=10,
                        verbose_name=_("state"),
                    ),
                ),
                ("position", models.BigIntegerField(default=0, verbose_name=_("position"))),
                ("succeeded", models.PositiveIntegerField(default=0, verbose_name=_("done"))),
                ("refused", models.PositiveIntegerField(default=0, verbose_name=_("refused"))),
                ("trouble", models.TextField(blank=True, verbose_name=_("trouble"))),
                (
                    "started_at",
                    models.DateTimeField(db_default=Now(), verbose_name=_("started at")),
                ),
                ("due_at", models.DateTimeField(db_default=Now(), verbose_name=_("next step at"))),
                ("finished_at", models.DateTimeField(null=True, verbose_name=_("finished at"))),
            ],
            options={
                "verbose_name": _("sweep of dead letters"),
                "verbose_name_plural": _("sweeps of dead letters"),
                "default_permissions": (),
            },
        ),
        migrations.AddIndex(
            model_name="sweep",
            index=models.Index(
                models.F("due_at"),
                condition=models.Q(("state", "running")),
                name="taskrouting_sweep_due",
            ),
        ),
    ]
