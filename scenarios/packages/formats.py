"""Checks that data files parse as what their names say."""

import json
from xml.parsers import expat

try:
    import yaml
except ImportError:  # nothing of the product reads YAML here
    yaml = None

_NAMES = {"XML": (".xml", ".xsd", ".xsl", ".xslt", ".svg"), "JSON": (".json",), "YAML": (".yaml", ".yml")}


def check(kind, files):
    """Yield what does not parse; a template that does not is none of it."""
    for file in files:
        if not file.name.endswith(_NAMES[kind]):
            continue
        problem = _PARSERS[kind](file.content())
        if problem and not file.is_template:
            yield f"{file.path}:{problem}"


def _xml(content):
    try:
        expat.ParserCreate().Parse(content, True)
    except expat.ExpatError as error:
        return f"{error.lineno}: {expat.ErrorString(error.code)}"
    return ""


def _json(content):
    try:
        json.loads(content.decode("utf-8-sig"), parse_constant=_no_value)
    except UnicodeDecodeError as error:
        return f"1: {error}"
    except ValueError as error:
        return f"{getattr(error, 'lineno', 1)}: {getattr(error, 'msg', error)}"
    return ""


def _no_value(name):
    """Refuse NaN and its like: Python writes and reads them, other programs do not."""
    raise ValueError(f"{name} is no value of JSON")


def _yaml(content):
    if yaml is None:
        return ""
    try:
        for _ in yaml.compose_all(content, yaml.SafeLoader):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return f"{mark.line + 1 if mark else 1}: {error.problem or error.context}"
    except yaml.YAMLError as error:
        return "1: " + str(error).splitlines()[0]
    return ""


_PARSERS = {"XML": _xml, "JSON": _json, "YAML": _yaml}
