"""YAML read into records: an error names the file, the line, the key and what was probably meant."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import Field

from itb.errors import UsageError
from itb.model import Record
from itb.util import yamlfile


class Inner(Record):
    """A nested record."""

    command: str
    timeout: float = Field(default=1, gt=0)
    from_: str = Field(default="", alias="from")


class Outer(Record):
    """The record of a whole file."""

    title: str = "x"
    count: int = 0
    on: bool = False
    names: tuple[str, ...] = ()
    roles: dict[str, Inner] = {}
    steps: tuple[Inner, ...] = ()
    one: Inner | None = None


def wrong(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        yamlfile.loads(text, Outer, where="f.yaml")
    assert caught.value.exit_code == 1
    return caught.value.message


def test_what_is_right() -> None:
    text = "title: yes\ncount: 3\non: true\nnames: [on, off, no, 'null', 2026-01-01]\n"
    text += "roles:\n  ce: {command: a, from: b}"
    outer = yamlfile.loads(text, Outer, where="f")
    assert outer.title == "yes", "on, off, yes and no are words"
    assert outer.names == ("on", "off", "no", "null", "2026-01-01")
    assert (outer.on, outer.count, outer.roles["ce"].from_) == (True, 3, "b")


def test_nothing_is_all_defaults() -> None:
    assert yamlfile.loads("", Outer, where="f") == Outer()
    assert yamlfile.loads("# only words\n---\n", Outer, where="f") == Outer()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: a\ncuont: 1", "f.yaml:2: unknown key 'cuont'; did you mean 'count'?"),
        ("zzzzzz: 1", "f.yaml:1: unknown key 'zzzzzz'; valid: count, names, on, one, roles, steps, title"),
        (
            "roles:\n  ce:\n    command: a\n    timout: 3",
            "f.yaml:4: unknown key 'roles.ce.timout'; did you mean 'timeout'?",
        ),
        (
            "steps:\n- command: a\n- command: b\n  form: c",
            "f.yaml:4: unknown key 'steps.1.form'; did you mean 'from'?",
        ),
        ("one:\n  command: a\n  comand: b", "f.yaml:3: unknown key 'one.comand'; did you mean 'command'?"),
        ("steps:\n- {timeout: 3}", "f.yaml:2: key 'steps.0.command' is missing"),
        ("count: many", "f.yaml:1: count: must be a whole number (got 'many')"),
        ("count: '3'", "f.yaml:1: count: must be a whole number (got '3')"),
        ("count: 3.0", "f.yaml:1: count: must be a whole number (got 3.0)"),
        ("\n\non: yes", "f.yaml:3: on: must be true or false (got 'yes')"),
        ("names: one", "f.yaml:1: names: a list is expected, such as [A, B] (got 'one')"),
        ("steps:\n- one", "f.yaml:2: steps.0: keys with values are expected, such as {KEY: VALUE} (got 'one')"),
        ("names:\n- a\n- [b]", "f.yaml:3: names.1: must be text"),
        ("title:", "f.yaml:1: title: must be text (nothing is given)"),
        (
            "steps:\n- command: a\n  timeout: -1",
            "f.yaml:3: steps.0.timeout: must be greater than 0 (got -1)",
        ),
        (
            "steps:\n- command: a\n  timeout: .inf",
            "f.yaml:3: steps.0.timeout: must be a finite number (got inf)",
        ),
        ("[1, 2]", "f.yaml: a mapping of keys to values is expected, not list"),
        ("just words", "f.yaml: a mapping of keys to values is expected, not str"),
        ("a: 1\nb: 2\na: 3", "f.yaml:3: not valid YAML: key 'a' appears twice"),
        ("title: &x a\nnames: [*x]", "f.yaml:2: not valid YAML: aliases (*name) are not allowed"),
        ("? [a, b]\n: c", "f.yaml:1: not valid YAML: a key must be plain text"),
        ("title: a\n\tb: c", "f.yaml:2: not valid YAML: found character '\\t' that cannot start any token"),
        ("title: 'a", "f.yaml:1: not valid YAML: found unexpected end of stream"),
        (
            "a: !!python/object:os.system x",
            "f.yaml:1: not valid YAML: could not determine a constructor for the tag",
        ),
        ("a: 1\n---\nb: 2", "f.yaml:2: not valid YAML: but found another document"),
        ("title: a\nb: \x07", "f.yaml:2: not valid YAML: special characters are not allowed"),
        ("1: a\n2026-01-01: b", "f.yaml:1: unknown key '1'"),
        ("title: " + "[" * 220 + "]" * 220, "f.yaml: nested too deeply"),
        ("title: " + "[" * 5000, "f.yaml: nested too deeply"),
        ("count: " + "9" * 5000, "f.yaml:1: not valid YAML: '99999"),
        ("title: x\ncount: !!int many", "f.yaml:2: not valid YAML: 'many': invalid literal"),
        ("title: x\non: !!bool many", "f.yaml:2: not valid YAML: 'many'"),
        ("title: x\nnames: [!!timestamp soon]", "f.yaml:2: not valid YAML: 'soon'"),
        ("title: x\ncount: 2026-13-45", "f.yaml:2: count: must be a whole number (got '2026-13-45')"),
        ('count: 1\ntitle: "\\uD800"', "f.yaml:2: title: not valid UTF-8: it has half a character in it"),
        ('names:\n- a\n- "\\uDFFF"', "f.yaml:3: names.1: not valid UTF-8"),
        ('"\\uD800": 1', "f.yaml:1: \\ud800: not valid UTF-8"),
    ],
)
def test_what_is_wrong(text: str, message: str) -> None:
    assert wrong(text).startswith(message)


def test_every_mistake_is_named_at_once() -> None:
    assert wrong("title: 1\ncuont: 2").count("\n") == 1


def test_a_long_value_is_cut() -> None:
    assert len(wrong(f"count: {'x' * 5000}")) < 200


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    with pytest.raises(UsageError, match=r"x\.yaml: cannot be read: No such file"):
        yamlfile.load(path, Outer)
    with pytest.raises(UsageError, match="cannot be read: is a directory"):
        yamlfile.load(tmp_path, Outer)
    path.write_bytes(b"title: \xff")
    with pytest.raises(UsageError, match=r"x\.yaml: not UTF-8 text"):
        yamlfile.load(path, Outer)
    path.write_text("\ufefftitle: ü\n")
    assert yamlfile.load(path, Outer).title == "ü"


@pytest.mark.parametrize(
    ("word", "suggestion"),
    [("smok", "; did you mean 'smoke'?"), ("xyz", ""), ("", ""), ("Smoke", "; did you mean 'smoke'?")],
)
def test_nearest(word: str, suggestion: str) -> None:
    assert yamlfile.nearest(word, ["smoke", "services"]) == suggestion
