"""How is the example site set up for browsers? As ever, and nothing may be inline or foreign.

These are its settings, with a policy that is stricter than any site needs.
"""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from project.settings import *  # noqa: F403
from project.settings import MIDDLEWARE as USUAL

POLICY = "default-src 'self'"

Answer = Callable[[HttpRequest], HttpResponse]


def strictly(answer: Answer) -> Answer:
    """Tell browsers the policy with every page."""

    def answered(request: HttpRequest) -> HttpResponse:
        response = answer(request)
        response.headers["Content-Security-Policy"] = POLICY
        return response

    return answered


MIDDLEWARE = ["tests.browser.strict.strictly", *USUAL]
