from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("taskrouting", "0007_operating")]

    operations = [
        migrations.RemoveIndex(model_name="auditlog", name="taskrouting_audit_correlation"),
        migrations.AddIndex(
            model_name="auditlog",
            index=models.Index(
                models.F("correlation_id"),
                models.F("id"),
                condition=models.Q(("correlation_id", ""), _negated=True),
                name="taskrouting_audit_correlation",
            ),
        ),
        migrations.RemoveIndex(model_name="auditlog", name="taskrouting_audit_causation"),
        migrations.AddIndex(
            model_name="auditlog",
            index=models.Index(
                models.F("causation_id"),
                models.F("id"),
                condition=models.Q(("causation_id", ""), _negated=True),
                name="taskrouting_audit_causation",
            ),
        ),
    ]
