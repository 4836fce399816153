"""The error of a conversion."""

from __future__ import annotations


class ConversionError(Exception):
    """A package cannot be converted; the message names the package and the reason."""
