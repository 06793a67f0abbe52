"""Where do machines ask? ``path("taskrouting/", include("taskrouting.urls"))`` puts it there."""

from __future__ import annotations

from django.urls import path

from taskrouting.monitoring import views

app_name = "taskrouting"

urlpatterns = [
    path("health/live", views.live, name="live"),
    path("health/ready", views.ready, name="ready"),
    path("health/well", views.well, name="well"),
    path("metrics", views.metrics, name="metrics"),
]
