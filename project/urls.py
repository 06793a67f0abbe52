"""Which address shows which page?"""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

urlpatterns = [
    path("", include("project.media.urls")),
    path("login/", LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("admin/", admin.site.urls),
    path("taskrouting/", include("taskrouting.urls")),
    # Browsers ask for it by this name where a page names none, as the admin's do.
    path("favicon.ico", RedirectView.as_view(url=static("media/icon.svg"))),
]
