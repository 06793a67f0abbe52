from django.db import migrations
from django.utils.translation import gettext_lazy as _


def page(name: str, names: object, model: str) -> migrations.CreateModel:
    return migrations.CreateModel(
        name=name,
        fields=[],
        options={
            "verbose_name": _(name.lower()),
            "verbose_name_plural": names,
            "proxy": True,
            "default_permissions": (),
            "indexes": [],
            "constraints": [],
        },
        bases=(f"taskrouting.{model}",),
    )


class Migration(migrations.Migration):
    dependencies = [("taskrouting", "0003_message_smaller_indexes")]

    operations = [
        page("Dashboard", _("dashboard"), "delivery"),
        page("Event", _("events"), "auditlog"),
        page("Topology", _("topology"), "binding"),
    ]
