import django.db.models.functions.datetime
from django.db import migrations, models
from django.utils.translation import gettext_lazy as _

FAULTS = [
    ("", _("nothing")),
    ("broker", _("the broker is away")),
    ("blocked", _("the broker takes no messages")),
    ("database", _("the database is away")),
]
MEASURES = [
    ("handled", _("handled")),
    ("retry", _("failed, to be tried again")),
    ("dead", _("failed for good")),
    ("discarded", _("discarded")),
    ("snoozed", _("snoozed")),
    ("duplicate", _("duplicate")),
    ("lost", _("taken over by another worker")),
    ("latency", _("time from the event until it was handled")),
    ("duration", _("time that an attempt took")),
    ("relayed", _("taken by the broker")),
    ("backlog", _("messages that waited, summed over all looks")),
    ("looks", _("looks at what waits")),
]


class Migration(migrations.Migration):
    dependencies = [("taskrouting", "0004_pages")]

    operations = [
        migrations.CreateModel(
            name="Pulse",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=255, unique=True, verbose_name=_("name"))),
                (
                    "seen_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(),
                        verbose_name=_("last heard"),
                    ),
                ),
                (
                    "fault",
                    models.CharField(
                        blank=True, choices=FAULTS, max_length=10, verbose_name=_("fault")
                    ),
                ),
                ("error", models.TextField(blank=True, verbose_name=_("error"))),
                ("failing_for", models.DurationField(null=True, verbose_name=_("failing for"))),
            ],
            options={
                "verbose_name": _("pulse"),
                "verbose_name_plural": _("pulses"),
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="Figure",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("span", models.PositiveIntegerField(verbose_name=_("span"))),
                ("since", models.DateTimeField(verbose_name=_("since"))),
                ("queue", models.CharField(max_length=255, verbose_name=_("queue"))),
                (
                    "subscription",
                    models.CharField(blank=True, max_length=255, verbose_name=_("subscription")),
                ),
                (
                    "measure",
                    models.CharField(choices=MEASURES, max_length=10, verbose_name=_("measure")),
                ),
                ("step", models.PositiveSmallIntegerField(default=0, verbose_name=_("step"))),
                ("count", models.BigIntegerField(default=0, verbose_name=_("count"))),
            ],
            options={
                "verbose_name": _("figure"),
                "verbose_name_plural": _("figures"),
                "default_permissions": (),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("span", "since", "queue", "subscription", "measure", "step"),
                        name="taskrouting_figure_once",
                    )
                ],
            },
        ),
    ]
