"""What can go wrong with a conversion."""

from __future__ import annotations


class ConversionError(Exception):
    """A package that cannot be translated; the message names the package and the reason."""
