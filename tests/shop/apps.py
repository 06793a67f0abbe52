"""What does Django need to know about the shop?"""

from __future__ import annotations

from django.apps import AppConfig


class ShopConfig(AppConfig):
    """The tests' own app."""

    name = "tests.shop"
