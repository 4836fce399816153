"""Settings in layers: defaults < user file < itb.yaml here < ITB_* environment < flags."""

from __future__ import annotations

import difflib
import functools
import os
import re
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self, Union, get_args, get_origin

from pydantic import ValidationInfo, field_validator, model_validator

from itb.config import lookup, options, untrusted_source, yaml_record
from itb.config.option import Option, as_setting, fields
from itb.config.options import DeclaredHostLimits, DeclaredKoji, DeclaredPublish, DeclaredSettings
from itb.errors import UsageError
from itb.model import Record
from itb.process.limits import DEFAULTS, Limits
from itb.util import known_secrets, ownership, proxies, yamlfile
from itb.util.files import expand, xdg
from itb.util.redact import MARK, redact

CACHE_FORMAT = 1  # raise it when an entry of the cache has a form that other versions cannot use as it is
CACHE_FORMAT_PREFIX = "format-"
_SIZE = re.compile(r"([1-9]\d*)([kmg])", re.IGNORECASE)
_SIZE_UNITS = {"k": 10, "m": 20, "g": 30}
_LEAST_MB = {"memory": 512, "tmpfs": 64}  # a host with HTCondor takes 300 MB


class KojiSettings(DeclaredKoji, Record):
    """How itb publish --koji reaches Koji."""


class PublishSettings(DeclaredPublish, Record):
    """Where itb publish puts packages, and the gpg key it signs them with."""

    koji: KojiSettings = KojiSettings()


class HostLimits(DeclaredHostLimits, Record):
    """What each host may take of this machine; sizes are a number with k, m or g."""

    @field_validator("memory", "tmpfs")
    @classmethod
    def _is_size(cls, value: str, info: ValidationInfo) -> str:
        if not (match := _SIZE.fullmatch(value)):
            raise ValueError(f"{value!r} is not a size such as 4g or 800m")
        least = _LEAST_MB[str(info.field_name)]
        if int(match[1]) << _SIZE_UNITS[match[2].lower()] < least << 20:
            raise ValueError(f"{value} is too little for any host: at least {least}m")
        return value.lower()

    @field_validator("processes")
    @classmethod
    def _is_enough(cls, value: int) -> int:
        if problem := fields(DeclaredHostLimits)["processes"].bound_problem(value):
            raise ValueError(problem)
        return value

    @property
    def description(self) -> str:
        """Return the limits as they stand in itb.yaml."""
        return ", ".join(f"{key}: {value}" for key, value in self.model_dump().items())


_PUBLISH_KEYS = ", ".join(fields(DeclaredPublish))
_KOJI_KEYS = ", ".join(fields(DeclaredKoji))


class Settings(DeclaredSettings, Record):
    """All settings, which are the keys of ``itb.yaml``; ``itb.config.options`` declares them."""

    publish: Annotated[
        PublishSettings,
        Option(f"of itb publish: {_PUBLISH_KEYS}, koji: {{{_KOJI_KEYS}}}", in_files_only=True),
    ] = PublishSettings()

    host_limits: Annotated[
        HostLimits,
        Option(
            "what each host may take of this machine: memory, processes, tmpfs",
            if_empty=HostLimits().description,
            in_files_only=True,
        ),
    ] = HostLimits()

    @field_validator("*")
    @classmethod
    def _is_within_bounds(cls, value: Any, info: ValidationInfo) -> Any:
        option = options.settings().get(info.field_name or "")
        if option and (problem := option.bound_problem(value)):
            raise ValueError(problem)
        return value

    @model_validator(mode="after")
    def _has_a_platform(self) -> Self:
        if not self.platform:
            raise ValueError("platform: at least one is needed")
        return self

    @model_validator(mode="after")
    def _has_known_limits(self) -> Self:
        for name, seconds in self.limits.items():
            if name not in DEFAULTS:
                hint = yamlfile.nearest(name, list(DEFAULTS)) or f"; valid: {', '.join(DEFAULTS)}"
                raise ValueError(f"limits: unknown limit {name!r}{hint}")
            if not seconds > 0:
                raise ValueError(f"limits: {name}: must be greater than 0")
        return self

    @property
    def time_limits(self) -> Limits:
        """Return the time limits, factor included."""
        return Limits(self.timeout_factor, self.limits)

    def without_secrets(self) -> dict[str, Any]:
        """Return the settings as JSON holds them, without a hook's arguments: any of them may be a password."""
        values = self.model_dump(mode="json")
        hook = values["token"].get("command", {})
        if isinstance(command := hook.get("command"), list):
            hook["command"] = [*command[:1], *(_hide_argument(str(argument)) for argument in command[1:])]
        return values

    def named_folders(self, kind: str) -> tuple[Path, ...]:
        """Return the user's folders of a kind of definitions; they need not exist, ``itb new`` makes them."""
        return tuple(expand(folder) for folder in getattr(self, kind))

    def folders(self, kind: str) -> tuple[Path, ...]:
        """Return the user's folders of products, platforms, scenarios or hooks.

        Raises UsageError for one that does not exist: what is looked up there would be unknown.
        """
        folders = self.named_folders(kind)
        for folder in folders:
            if not folder.is_dir():
                hint = f"itb show config says where {kind} comes from"
                raise UsageError(f"{kind}: {str(folder.absolute())[:200]} is not a folder", hint=hint)
        return folders

    @property
    def runs_dir(self) -> Path:
        """Return the folder that run directories go to, absolute."""
        return expand(self.runs).absolute()

    @property
    def reports_dir(self) -> Path | None:
        """Return the folder that reports go to besides the run directory, absolute; None if there is none."""
        return expand(self.report_dir).absolute() if self.report_dir else None

    @property
    def cache_dir(self) -> Path:
        """Return the folder of the cache for entries of this version's form, absolute; it may not exist yet."""
        folder = expand(self.cache).absolute() if self.cache else xdg("XDG_CACHE_HOME", ".cache") / "itb"
        return folder / f"{CACHE_FORMAT_PREFIX}{CACHE_FORMAT}"


@functools.cache
def declared() -> dict[str, Option]:
    """Return the declarations of all settings by name, in the order of ``itb show config``."""
    return {
        name: as_setting(name, next(item for item in field.metadata if isinstance(item, Option)), field.default)
        for name, field in Settings.model_fields.items()
    }


def settings_table() -> str:
    """Return the documentation's table of settings, as Markdown."""
    lines = ["| key | default | option | environment | what it is |", "|---|---|---|---|---|"]
    for option in declared().values():
        flag = f"`{option.flag}`" if option.heading else ""
        variable = "(files only)" if option.in_files_only else f"`{option.variable}`"
        cells = (f"`{option.name}`", option.default_text, flag, variable, option.help)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of ``itb.yaml``: types from the record, the rest as the options are declared."""
    schema = yaml_record.json_schema(Settings, "itb.yaml")
    _describe(Settings, schema)
    for record in (HostLimits, PublishSettings, KojiSettings):
        _describe(record, schema["$defs"][record.__name__])
    schema["properties"]["platform"]["minItems"] = 1
    schema["properties"]["limits"] |= {
        "propertyNames": {"enum": list(DEFAULTS)},
        "additionalProperties": {"type": "number", "exclusiveMinimum": 0},
    }
    return {**schema, "description": "Settings of itb, as itb show config lists them."}


def _describe(record: type[Record], schema: Mapping[str, Any]) -> None:
    """Add descriptions and bounds of keys to the schema of a record, from their declarations."""
    for name, field in record.model_fields.items():
        if option := next((item for item in field.metadata if isinstance(item, Option)), None):
            bounds = {"minimum": option.at_least, "exclusiveMinimum": option.above, "maximum": option.at_most}
            schema["properties"][name] |= {key: bound for key, bound in bounds.items() if bound is not None}
            schema["properties"][name]["description"] = option.help


DEFAULT = "default"
_OPTION_NAME = re.compile(r"-[A-Za-z]|--[a-z][a-z-]*")
_SWITCHES = dict.fromkeys(("true", "yes", "on", "1"), True) | dict.fromkeys(("false", "no", "off", "0"), False)
_FOR_SCRIPTS = ("ITB_RUN", "ITB_TOKEN_DIR", "ITB_TOKEN_ROLE", "ITB_SCENARIO_DIR")
_NO_SETTINGS = (*_FOR_SCRIPTS, ownership.USERS, ownership.GROUPS)


def user_file() -> Path:
    """Return the path of the user's own configuration file (XDG base directory specification)."""
    return xdg("XDG_CONFIG_HOME", ".config") / "itb" / "itb.yaml"


def load(flags: Mapping[str, Any] | None = None, *, cwd: Path | None = None) -> tuple[Settings, dict[str, str]]:
    """Return the settings and, for each key, where its value came from.

    ``flags`` are those given on the command line; empty ones do not count.
    Raises UsageError naming file, line and nearest key, or the variable.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(Settings.model_fields, DEFAULT)
    from_environment, from_flags = _environment(), _flags(flags or {})
    here = (cwd or _current_directory()) / "itb.yaml"
    for folder in {expand("~"), user_file().parent}:
        untrusted_source.check_users_folder(folder, str({**from_environment, **from_flags}.get("source", "")))
    for path in (user_file(), here):
        if os.path.lexists(path):  # a folder or a link to nowhere is refused, not passed over
            from_file = _read_file(path)
            if path == here:
                source = {**values, **from_environment, **from_flags}.get("source", "")
                refused = untrusted_source.refused_keys(from_file, path.parent, str(source), given=values)
                if refused:
                    untrusted_source.warn_of_refused_keys(path, tuple(refused), user_file())
                from_file = {key: value for key, value in from_file.items() if key not in refused}
            values.update(from_file)
            origins.update(dict.fromkeys(from_file, str(path)))
    for layer, origin_of in ((from_environment, _variable_origin), (from_flags, _flag_origin)):
        for key, value in layer.items():
            origins[key] = origin_of(key)
            yamlfile.validate({key: value}, Settings, where=origins[key], named_key=key)
            values[key] = value
    _remember_secrets(values)
    proxies.remember_logins()
    settings = yamlfile.validate(values, Settings, where="settings")
    _check_folders(settings, origins)
    _check_platform_options(settings, origins)
    return settings, origins


def _remember_secrets(values: Mapping[str, Any]) -> None:
    """Remember the logins of URLs and the secrets among arguments of programs, wherever settings hold them."""
    parts: list[Any] = [values]
    while parts:
        part = parts.pop()
        if isinstance(part, str):
            known_secrets.remember_logins(part)
        elif isinstance(part, list | tuple):
            known_secrets.remember_arguments([str(item) for item in part if isinstance(item, str | int)])
            parts += part
        elif isinstance(part, Mapping):
            parts += part.values()


def _hide_argument(argument: str) -> str:
    """Return an argument of a hook, or the mark: only an option's name and a path that exists are no secrets."""
    return argument if _OPTION_NAME.fullmatch(argument) or os.path.lexists(argument) else MARK


def _variable_origin(key: str) -> str:
    return f"environment {declared()[key].variable}"


def _flag_origin(key: str) -> str:
    return f"flag {declared()[key].flag}"


def _read_file(path: Path) -> dict[str, Any]:
    """Return the settings that a file gives; UsageError for a wrong one, and for one of somebody else."""
    try:
        text = ownership.read(path).decode()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not UTF-8 text") from None
    yamlfile.loads(text, Settings, where=str(path))
    values: dict[str, Any] = yamlfile.parse(text, str(path))[0] or {}
    if redact(text) != text:
        ownership.warn_of_readers(path)
    return values


def _current_directory() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:
        raise UsageError("the current directory does not exist any more", hint="change to one that does") from None


def _check_folders(settings: Settings, origins: Mapping[str, str]) -> None:
    """Raise UsageError for a folder that neither exists nor can be made."""
    folders = {"runs": settings.runs_dir, "cache": settings.cache_dir.parent}
    if settings.reports_dir:
        folders["report_dir"] = settings.reports_dir
    for key, folder in folders.items():
        existing = next(path for path in (folder, *folder.parents) if path.exists())
        if not existing.is_dir():
            raise UsageError(
                f"{key} is {folder} ({origins[key]}), but {existing} is not a directory",
                hint=f"{declared()[key].flag} DIR chooses another",
            )


def _check_platform_options(settings: Settings, origins: Mapping[str, str]) -> None:
    """Raise UsageError for options of a misspelt platform.

    A name that resembles none may be that of a folder which is given by its
    path when the platform is used.
    """
    if not settings.platform_options:
        return
    folders = settings.folders("platforms")
    known = [*lookup.platform_names(folders), *(Path(name).name for name in settings.platform)]
    for name in settings.platform_options:
        if name not in known and (hint := yamlfile.nearest(name, known)):
            raise UsageError(
                f"{origins['platform_options']}: platform_options: there is no platform {name!r}{hint}",
                hint="a platform in a folder of your own is known by platforms: [FOLDER]",
            )


@functools.cache
def _warn_of_variables() -> None:
    """Warn of ITB_ variables whose names are nearly those of a setting; others may be anybody's."""
    known = [option.variable for option in declared().values()]
    for name in sorted(os.environ):
        if name.startswith("ITB_") and name not in (*known, *_NO_SETTINGS):
            for near in difflib.get_close_matches(name, known, n=1, cutoff=0.85):
                print(f"itb: environment {name}: no such setting; did you mean {near}?", file=sys.stderr)


def names_from_environment() -> tuple[str, ...]:
    """Return the names of the settings that the environment gives."""
    return tuple(name for name, option in declared().items() if option.variable in os.environ)


def _environment() -> dict[str, Any]:
    """Return the settings that the environment gives."""
    _warn_of_variables()
    values = {}
    for key, option in declared().items():
        text = os.environ.get(option.variable)
        if text is not None:
            values[key] = _typed(key, text, _variable_origin(key))
    return values


def _flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that the command line gives; empty values are not among them."""
    return {
        key: _typed(key, value, _flag_origin(key)) if isinstance(value, str) else value
        for key, value in flags.items()
        if value not in (None, "", (), [], False) and key in Settings.model_fields
    }


def _typed(key: str, text: str, where: str) -> Any:
    """Return a text as a value of the setting's type; UsageError, which names ``where``, if it cannot be one."""
    annotation = Settings.model_fields[key].annotation
    origin = get_origin(annotation)
    if not text.strip():
        raise UsageError(f"{where} is empty", hint="give it a value, or leave it out: then its default counts")
    if origin is tuple:
        parts = [part.strip() for part in text.split(",")]
        if not all(parts):
            raise UsageError(f"{where}: one of {text!r} is empty", hint="a variable that is not set, perhaps")
        return parts
    allowed = get_args(annotation) if origin in (Union, types.UnionType) else (annotation,)
    if annotation is bool and text.lower() in _SWITCHES:
        return _SWITCHES[text.lower()]
    for kind in (int, float):
        if kind in allowed:
            try:
                return kind(text)
            except ValueError:
                whole = "whole " if kind is int else ""
                raise UsageError(f"{where}: {text!r} is not a {whole}number") from None
    if declared()[key].in_files_only:
        raise UsageError(f"{where}: can only be set in a file")
    return text
