"""The base of records that people write as YAML: JSON schemas and documentation are made from them.

The text below a field is its description.  What a validator checks of
several fields is said to editors by the functions here.
"""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from itb.model import Record


class WrittenRecord(Record):
    """A record whose fields are described by the text below each."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def exactly_one(*keys: str) -> dict[str, Any]:
    """Return the part of a JSON schema that asks for one of these keys and no more."""
    return {"oneOf": [{"required": [key]} for key in keys]}


def at_most_one(*keys: str) -> dict[str, Any]:
    """Return the part of a JSON schema that refuses two keys together."""
    return {"not": {"required": list(keys)}}
