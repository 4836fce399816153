"""JSON schemas of what people write, and its documentation: they say what the records do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from itb.cli.commands import definitions
from itb.config import yaml_record
from itb.config.settings import Settings
from itb.data import shipped
from itb.errors import UsageError
from itb.util import yamlfile

BUILD_WS, SCENARIOS = shipped.folder("build_ws"), shipped.folder("scenarios")
KINDS = [*definitions.RECORDS, definitions.ITB_YAML]


def written_files() -> Iterator[tuple[str, Path]]:
    """Every YAML file of ours and of the templates, with its kind."""
    for top in (BUILD_WS, SCENARIOS):
        for path in sorted(top.rglob("*.yaml")):
            is_head = path.parent.name == "platform"  # a template that is only the head of a file
            if path.stem in definitions.RECORDS and not is_head and "source" not in path.relative_to(top).parts:
                yield path.stem, path


def validator(kind: str) -> jsonschema.Draft202012Validator:
    schema = definitions.schema(kind)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize(("kind", "path"), [*written_files()], ids=str)
def test_files_of_ours_are_valid(kind: str, path: Path) -> None:
    value, _ = yamlfile.parse(path.read_text(), str(path))
    assert [error.message for error in validator(kind).iter_errors(value)] == []


def test_every_kind_of_file_is_among_them() -> None:
    assert {kind for kind, _ in written_files()} == set(definitions.RECORDS)


STEP = "{name: n, role: r, run: x}"
PRODUCT = "{title: t, source: {url: u}, packages: [p], roles: {r: {}}}"
PLATFORM = """
title: t
base: {image: i}
stages: {bare: {from: base, script: s}}
ce: {packages: [p], configure: c, services: [s]}
"""
GOOD = {
    "product": PRODUCT,
    "scenario": f"{{title: t, steps: [{STEP}]}}",
    "platform": PLATFORM,
    "itb": "{product: p, platform: [deb13], limits: {boot: 1.5}, publish: {koji: {wait: false}}}",
    "history": "{author: a <b>, source: s, base: c, commits: [{name: c, subject: s, date: '2026-01-01T00:00Z'}]}",
    "side-effects": "{expected: [{paths: [/x], reason: r}]}",
}


@pytest.mark.parametrize("kind", KINDS)
def test_good_files_are_good_to_both(kind: str) -> None:
    value, _ = yamlfile.parse(GOOD[kind], kind)
    assert validator(kind).is_valid(value)
    yamlfile.validate(value, definitions.RECORDS.get(kind, Settings), where=kind)


@pytest.mark.parametrize(
    ("kind", "old", "new"),
    [
        ("product", "title: t, ", ""),
        ("product", "title: t", "title: 1"),
        ("product", "title: t", "titel: t, title: t"),
        ("product", "title: t", "title: t, name: x"),
        ("product", "title: t", "title: t, folder: x"),
        ("product", "[p]", "p"),
        ("product", "{url: u}", "{}"),
        ("product", "{url: u}", "{url: u, history: h}"),
        ("product", "title: t", "title: t, build: {command: c, release_manager: r}"),
        ("product", "title: t", "title: t, build: {timeout: 0}"),
        ("product", "title: t", "title: t, build: {timeout: '9'}"),
        ("product", "title: t", "title: t, build: {checkout_name: a/b}"),
        ("product", "title: t", "title: t, build: {env: {A-B: c}}"),
        ("product", "title: t", "title: t, env: {A: 1}"),
        ("product", "title: t", "title: t, token: {role: r, path: x}"),
        ("product", "title: t", "title: t, token: {role: r, path: /x, min_lifetime: 1.5}"),
        ("product", "title: t", "title: t, variants: {v: {}}"),
        ("product", "title: t", "title: t, patience: 0"),
        ("scenario", STEP, ""),
        ("scenario", "run: x", ""),
        ("scenario", "run: x", "run: x, script: y"),
        ("scenario", "run: x", "action: halt"),
        ("scenario", "run: x", "run: x, flaky: -1"),
        ("scenario", "run: x", "run: x, user: 'a b'"),
        ("scenario", "run: x", "run: x, eventually: {every: 2}"),
        ("scenario", "run: x", "run: x, eventually: 60"),
        ("scenario", "run: x", "run: x, known_failure: {until: soon, reason: r}"),
        ("scenario", "run: x", "run: x, known_failure: {until: 2026-01-01, reason: ''}"),
        ("scenario", "name: n", "name: ''"),
        ("scenario", "title: t", "title: t, needs: {token: yes}"),
        ("scenario", "title: t", "title: t, needs: {role: [r]}"),
        ("platform", "from: base, ", ""),
        ("platform", "title: t", "title: t\nbuild: {mock: {}}"),
        ("platform", "title: t", "title: t\nbuild: {mock: {python_version: p, refused: r}}"),
        ("platform", "title: t", "title: t\npublished: {osg: {url: u, priority: 100}}"),
        ("platform", "title: t", "title: t\nsettings: {el: 9}"),
        ("itb", "product: p", "produkt: p"),
        ("itb", "[deb13]", "[]"),
        ("itb", "[deb13]", "deb13"),
        ("itb", "product: p", "keep: sometimes"),
        ("itb", "product: p", "jobs: 33"),
        ("itb", "product: p", "timeout_factor: 0"),
        ("itb", "product: p", "retries: -1"),
        ("itb", "boot: 1.5", "boot: 0"),
        ("itb", "boot: 1.5", "bot: 1"),
        ("itb", "wait: false", "waits: false"),
        ("history", "a <b>", "a"),
        ("history", "base: c", "base: c, broken: {x: {subject: s, changes: []}}"),
        ("side-effects", "[/x]", "[]"),
        ("side-effects", "reason: r", "reason: ''"),
    ],
)
def test_bad_files_are_bad_to_both(kind: str, old: str, new: str) -> None:
    """What itb refuses, editors mark."""
    assert old in GOOD[kind]
    value, _ = yamlfile.parse(GOOD[kind].replace(old, new), kind)
    with pytest.raises(UsageError):
        yamlfile.validate(value, definitions.RECORDS.get(kind, Settings), where=kind)
    assert not validator(kind).is_valid(value)


@pytest.mark.parametrize("kind", KINDS)
def test_every_key_is_described(kind: str) -> None:
    """In the schema, for who hovers over it."""
    schema = definitions.schema(kind)
    for record in [schema, *schema.get("$defs", {}).values()]:
        assert record["description"]
        for key, value in record["properties"].items():
            assert value.get("description") or "$ref" in value, key
    assert "``" not in json.dumps(schema)


def test_no_such_schema() -> None:
    with pytest.raises(UsageError, match="no schema of 'senario'; did you mean 'scenario'"):
        definitions.schema("senario")
    assert definitions.schema("scenario.yaml") == definitions.schema("scenario")


DOCUMENTED = {"product": BUILD_WS, "platform": BUILD_WS, "scenario": SCENARIOS}


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_documentation_has_every_key(kind: str) -> None:
    """The table is made from the record: .venv/bin/python -m tests.unit.config.test_yaml_record writes it."""
    table = table_in((DOCUMENTED[kind] / "README.md").read_text(), kind)
    assert table == yaml_record.keys_table(definitions.schema(kind))


def table_in(text: str, kind: str) -> str:
    match = re.search(rf"<!-- keys of {kind} -->\n(.*?)\n?<!-- keys of {kind} -->", text, re.DOTALL)
    assert match
    return match[1]


def write_tables() -> None:
    """Replace the tables in the documentation by what the records say now."""
    for kind, folder in DOCUMENTED.items():
        file = folder / "README.md"
        text = file.read_text()
        mark = f"<!-- keys of {kind} -->\n"
        before, _, after = text.split(mark)
        file.write_text(f"{before}{mark}{yaml_record.keys_table(definitions.schema(kind))}\n{mark}{after}")


def test_table_of_keys() -> None:
    schema: dict[str, Any] = {
        "properties": {
            "a": {"type": "string", "default": "x|y", "description": "A."},
            "b": {"$ref": "#/$defs/B"},
            "c": {"type": "array", "items": {"$ref": "#/$defs/B"}, "description": "More."},
            "d": {"type": "object", "additionalProperties": {"$ref": "#/$defs/D"}, "description": "By name."},
        },
        "required": ["b"],
        "$defs": {
            "B": {"description": "One B.", "properties": {"n": {"type": "integer", "default": 0}}},
            "D": {"properties": {"e": {"enum": ["p", "q"]}, "f": {"type": "boolean", "default": False}}},
        },
    }
    rows = [line.split(" | ") for line in yaml_record.keys_table(schema).splitlines()[2:]]
    assert rows == [
        ["| `a`", "text", "`x\\|y`", "A. |"],
        ["| `b`", "keys", "required", "One B. |"],
        ["| `b.n`", "whole number", "`0`", " |"],
        ["| `c`", "list of keys", "", "More. |"],
        ["| `d`", "keys", "", "By name. |"],
        ["| `d.NAME.e`", "p, q", "", " |"],
        ["| `d.NAME.f`", "true, false", "false", " |"],
    ]


if __name__ == "__main__":
    write_tables()
