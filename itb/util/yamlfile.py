"""Reading YAML into typed records; errors name the file, the line, the key and the nearest valid key."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from itb.errors import UsageError
from itb.util import files

R = TypeVar("R", bound=BaseModel)

Location = tuple[str | int, ...]

_SURROGATE = re.compile("[\ud800-\udfff]")  # Python decodes an argument's bytes that are not UTF-8 to these


class _AliasLoader(yaml.SafeLoader):
    """Loads safe YAML, refuses a key that appears twice, and takes every key as text."""

    def compose_mapping_node(self, anchor: dict[Any, yaml.Node]) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be plain text", problem_mark=key.start_mark)
            if key.value in keys:
                raise yaml.MarkedYAMLError(problem=f"key {key.value!r} appears twice", problem_mark=key.start_mark)
            keys.add(key.value)
            if key.tag != _MERGE:
                key.tag = _TEXT  # a key that is a number is taken by its digits
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError) as error:  # a value that does not fit its tag
            problem = f"{node.value[:60]!r}: {error}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


class _Loader(_AliasLoader):
    """Loads the same without aliases: a few lines of nested aliases could take gigabytes."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)


# The booleans are YAML 1.2's: YAML 1.1 takes on, off, yes and no for booleans too, keys included.
# A date stays text until a record asks for a date: only then can an error name its key.
_BOOL = "tag:yaml.org,2002:bool"
_DATE = "tag:yaml.org,2002:timestamp"
_TEXT = "tag:yaml.org,2002:str"
_MERGE = "tag:yaml.org,2002:merge"
_AliasLoader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag not in (_BOOL, _DATE)]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_AliasLoader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def nearest(word: str, valid: list[str]) -> str:
    """Return "; did you mean 'x'?" when a valid word resembles ``word``, else the empty string."""
    same = [other for other in valid if other.lower() == word.lower()]
    close = same or difflib.get_close_matches(word, valid, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def parse(text: str, where: str, *, aliases: bool = False) -> tuple[Any, dict[Location, int]]:
    """Return the value of a YAML text and, where it has no aliases, the line (from 1) of each location."""
    try:
        loader = (_AliasLoader if aliases else _Loader)(text)
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        raise UsageError(f"{where}:{number}: not valid YAML: {error.reason}") from None
    try:
        node = loader.get_single_node()
        if node is None:
            return {}, {}
        lines: dict[Location, int] = {}
        if not aliases:
            _collect_lines(node, (), lines)
        return loader.construct_document(node), lines
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(f"{where}{line}: not valid YAML: {error.problem}") from None
    except RecursionError:
        raise UsageError(f"{where}: nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise UsageError(f"{where}: not valid YAML: {error}") from None
    finally:
        loader.dispose()


def _collect_lines(node: yaml.Node, at: Location, lines: dict[Location, int]) -> None:
    lines.setdefault(at, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            here = (*at, str(key.value))
            lines[here] = key.start_mark.line + 1
            _collect_lines(value, here, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(value, (*at, index), lines)


def load(path: Path, kind: type[R]) -> R:
    """Read one record from a YAML file.

    Raises UsageError naming every wrong key, type or value with its line.
    """
    try:
        text = files.read(path, files.TEXT_LIMIT).decode()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None
    return loads(text, kind, where=str(path))


def loads(text: str, kind: type[R], *, where: str) -> R:
    """Read one record from YAML text; ``where`` names it in errors."""
    value, lines = parse(text, where)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise UsageError(f"{where}: a mapping of keys to values is expected, not {type(value).__name__}")
    return validate(value, kind, where=where, lines=lines)


def validate(
    value: Mapping[str, Any],
    kind: type[R],
    *,
    where: str,
    named_key: str = "",
    lines: Mapping[Location, int] | None = None,
) -> R:
    """Turn plain data into a record, strictly: a number in quotes is not a number.

    ``where`` begins each error; a key that it names itself, as ``flag --keep``
    does, is ``named_key``.
    """
    try:
        return kind.model_validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        details = error.errors()
        if details[0]["type"] == "json_invalid":
            raise UsageError(_explain_no_json(value, where, lines or {})) from None
        # For a list with an invalid item, the error that the list is too short is not shown.
        containers = {detail["loc"][:size] for detail in details for size in range(len(detail["loc"]))}
        causes = [detail for detail in details if detail["loc"] not in containers]
        problems = [_explain(detail, kind, where, lines or {}, named_key) for detail in causes]
        raise UsageError("\n".join(dict.fromkeys(problems))) from None


def _explain_no_json(value: Any, where: str, lines: Mapping[Location, int]) -> str:
    """Return the error for a value that JSON cannot hold: it is no valid UTF-8, or nested too deeply."""
    if (at := _find_surrogate(value, ())) is None:
        return f"{where}: nested too deeply"
    key = ".".join(map(str, at)).encode("utf-8", "backslashreplace").decode()
    return f"{where}{_line_suffix(at, lines)}: {key}: not valid UTF-8: it has half a character in it"


def _find_surrogate(value: Any, at: Location) -> Location | None:
    """Return the location of the first text in a value that UTF-8 cannot encode, None if there is none."""
    if isinstance(value, str):
        return at if _SURROGATE.search(value) else None
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        parts = [pair for key, part in value.items() for pair in ((str(key), str(key)), (str(key), part))]
    elif isinstance(value, list):
        parts = enumerate(value)
    locations = (_find_surrogate(part, (*at, key)) for key, part in parts)
    return next((location for location in locations if location is not None), None)


# Pydantic uses the terms of JSON; people who write YAML know lists and keys.
_EXPECTED = {
    "Input should be a valid array": "a list is expected, such as [A, B]",
    "Input should be an object": "keys with values are expected, such as {KEY: VALUE}",
    "Input should be a valid string": "must be text",
    "Input should be a valid integer": "must be a whole number",
    "Input should be a valid number": "must be a number",
    "Input should be a valid boolean": "must be true or false",
}


def _explain(
    detail: Any, kind: type[BaseModel], where: str, lines: Mapping[Location, int], named_key: str
) -> str:
    location: Location = tuple(detail["loc"])
    line = _line_suffix(location, lines)
    key = ".".join(str(part) for part in location)
    if detail["type"] == "extra_forbidden":
        valid = _fields_at(kind, location[:-1])
        suffix = nearest(str(location[-1]), valid) or (f"; valid: {', '.join(valid)}" if valid else "")
        return f"{where}{line}: unknown key {key!r}{suffix}"
    if detail["type"] == "too_short":
        minimum, actual = detail["ctx"]["min_length"], detail["ctx"]["actual_length"]
        return f"{where}{line}: {key}: at least {minimum} needed, {actual} found"
    if detail["type"] == "missing":
        return f"{where}{line}: key {key!r} is missing"
    value = detail["input"]
    about = "" if key in ("", named_key) else f"{key}: "
    message = _EXPECTED.get(detail["msg"], detail["msg"].removeprefix("Value error, "))
    message = re.sub("^Input should be ", "must be ", message)
    near = ""
    if detail["type"] == "literal_error" and isinstance(value, str):
        near = nearest(value, re.findall("'([^']*)'", detail["ctx"]["expected"]))
    return f"{where}{line}: {about}{message}{_shown(value)}{near}"


def _shown(value: Any) -> str:
    """Return an invalid value in brackets for a message; empty for a list or mapping."""
    if isinstance(value, dict | list):
        return ""
    is_text = isinstance(value, str)
    return " (nothing is given)" if value is None else f" (got {value[:60] if is_text else value!r})"


def _line_suffix(location: Location, lines: Mapping[Location, int]) -> str:
    """Return ``:LINE`` of a location or of the nearest one around it; empty if no line is known."""
    while location and location not in lines:
        location = location[:-1]
    return f":{lines[location]}" if location in lines else ""


def _fields_at(kind: type[BaseModel], location: Location) -> list[str]:
    """Return the names of the fields of the record at a location inside ``kind``."""
    current: Any = kind
    for part in location:
        model = _model_of(current)
        if model is not None:
            field = model.model_fields.get(str(part))
            current = field.annotation if field else None
        else:  # a dict, list or tuple: the last parameter that is a type of items
            arguments = get_args(current)
            item_types = [argument for argument in arguments if argument not in (Ellipsis, type(None), str)]
            current = item_types[-1] if item_types else None
    model = _model_of(current)
    return sorted(field.alias or name for name, field in model.model_fields.items()) if model else []


def _model_of(annotation: Any) -> type[BaseModel] | None:
    """Return the record class of an annotation ``Model`` or ``Model | None``, None for any other."""
    if get_origin(annotation) in (UnionType, Union):
        return next((model for argument in get_args(annotation) if (model := _model_of(argument))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
