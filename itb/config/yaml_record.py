"""The base of records that people write as YAML; JSON schemas and tables of documentation are made from them.

The text below a field is its description.  Functions here express in a
schema what a validator checks of several keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from itb.model import Record

DIALECT = "https://json-schema.org/draft/2020-12/schema"


class YamlRecord(Record):
    """A record of a YAML file; the text below a field describes it."""

    model_config = ConfigDict(use_attribute_docstrings=True)


def exactly_one(*keys: str) -> dict[str, Any]:
    """Return the part of a JSON schema that asks for one of these keys and no more."""
    return {"oneOf": [{"required": [key]} for key in keys]}


def at_most_one(*keys: str) -> dict[str, Any]:
    """Return the part of a JSON schema that refuses two keys together."""
    return {"not": {"required": list(keys)}}


def json_schema(record: type[BaseModel], file: str) -> dict[str, Any]:
    """Return the JSON schema of a YAML file that holds one record, for editors."""
    schema: dict[str, Any] = _plain(record.model_json_schema(by_alias=True))
    return {"$schema": DIALECT, "title": file, **schema}


def _plain(node: Any) -> Any:
    """Return a part of a schema without generated titles and null values, which no writer of YAML needs."""
    if isinstance(node, list):
        return [_plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kinds = [kind for kind in node.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:  # a key that is left out is None; nobody writes null
        node = {**kinds[0], **{key: value for key, value in node.items() if key != "anyOf"}}
    plain: dict[str, Any] = {}
    for key, value in node.items():
        if key in ("properties", "$defs"):
            plain[key] = {name: _plain(item) for name, item in value.items()}
        elif key == "description":
            plain[key] = " ".join(value.split())
        elif key != "title" and not (key == "default" and value is None):
            plain[key] = _plain(value)
    if "patternProperties" in plain:
        plain["additionalProperties"] = False  # a name that matches none is refused
    return plain


def keys_table(schema: Mapping[str, Any]) -> str:
    """Return the documentation of a file's keys as a Markdown table: those of a nested record follow its own."""
    rows = ["| key | takes | default | what it is |", "|---|---|---|---|"]
    for path, value, required in _keys(schema, schema, ""):
        default = "required" if required else _if_empty(value.get("default"))
        described = value.get("description") or _target(schema, value).get("description", "")
        cells = (f"`{path}`", _kind(schema, value), default, described)
        rows.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(rows)


def _target(schema: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a node refers to, or the node itself."""
    name = str(node.get("$ref", "")).removeprefix("#/$defs/")
    target: Mapping[str, Any] = schema["$defs"][name] if name else node
    return target


def _keys(
    schema: Mapping[str, Any], node: Mapping[str, Any], above: str, above_records: tuple[str, ...] = ()
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """Yield the path of each key, its schema and whether it is required; those of a record once."""
    records = list(above_records)
    for key, value in node["properties"].items():
        yield above + key, value, key in node.get("required", ())
        for ending, inner in (
            (".", value), ("[].", value.get("items", {})), (".NAME.", value.get("additionalProperties") or {})
        ):  # fmt: skip
            reference = str(inner.get("$ref", "")) if isinstance(inner, dict) else ""
            if reference and reference not in records:
                records.append(reference)
                yield from _keys(schema, _target(schema, inner), f"{above}{key}{ending}", tuple(records))


def _kind(schema: Mapping[str, Any], node: Mapping[str, Any]) -> str:
    """Return the type of a key's value, in a word or two."""
    if "enum" in node or "const" in node:
        return ", ".join(node.get("enum", [node.get("const")]))
    if node.get("type") == "array":
        return "list" if node.get("items") == {"type": "string"} else f"list of {_kind(schema, node['items'])}"
    if node.get("type") == "object" or "$ref" in node:
        return "keys"
    types = {"string": "text", "boolean": "true, false", "integer": "whole number", "number": "number"}
    return "date" if node.get("format") == "date" else types[node["type"]]


def _if_empty(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None or value == "" or isinstance(value, dict) else f"`{value}`"
