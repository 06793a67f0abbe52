"""THE GAUGES: they listen to the milestones, and never fail a delivery."""

from __future__ import annotations

from . import logging

__all__ = ["logging"]
