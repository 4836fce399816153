"""Finding providers and hooks by name: those of itb, and programs in a user's own folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from itb.config.lookup import NAME
from itb.errors import UsageError
from itb.model import Record
from itb.tokens.providers import command, file, htgettoken, local, vault
from itb.tokens.providers.base import Context, Provider
from itb.util import ownership, yamlfile
from itb.util.files import program

R = TypeVar("R", bound=Record)


class Available(Record):
    """A name for ``--token-hook``; ``usable`` is empty, or says why the hook cannot be used."""

    name: str
    about: str
    usable: str = ""
    path: str = ""


def _local(context: Context) -> Provider:
    return local.Local(_options("local", local.Options, context), context)


def _command(context: Context) -> Provider:
    options = _options("command", command.Options, context)
    if not options.command:
        raise UsageError(f"{context.where}.command.command: at least the program's name is expected")
    argv = [_trusted(program(options.command[0])), *options.command[1:]]
    return command.Command("command", argv, context, pass_env=options.pass_env)


def _file(context: Context) -> Provider:
    return file.File(_options("file", file.Options, context), context)


def _vault(context: Context) -> Provider:
    return vault.Vault(_options("vault", vault.Options, context), context)


def _htgettoken(context: Context) -> Provider:
    return htgettoken.Htgettoken(_options("htgettoken", htgettoken.Options, context), context)


BUILTIN: dict[str, tuple[str, Callable[[Context], Provider]]] = {
    "local": ("the run's own issuer; proves everything but the path to a real one", _local),
    "file": ("a bearer token somebody keeps fresh on this machine", _file),
    "vault": ("a Vault token kept by Managed Tokens, exchanged for a bearer token", _vault),
    "htgettoken": ("the program htgettoken, without a person", _htgettoken),
    "command": ("a program that speaks the hook protocol", _command),
}


def find_provider(name: str, context: Context) -> Provider:
    """Return the configured provider or hook of a name, or the hook at a path.

    Raises UsageError with the nearest name if there is none.
    """
    if name in BUILTIN:
        return BUILTIN[name][1](context)
    if "/" in name:
        return command.Command(Path(name).name, [_trusted(program(name))], context)
    for folder in context.hook_dirs:
        if NAME.fullmatch(name) and (folder / name).exists():
            return command.Command(name, [_trusted(str((folder / name).absolute()))], context)
    known = sorted({*BUILTIN, *(path.name for path in _hook_files(context))})
    raise UsageError(
        f"unknown token hook {name!r}{yamlfile.nearest(name, known) or '; known: ' + ', '.join(known)}",
        hint="a hook of your own is an executable file in a folder of setting hooks, or given by its path",
    )


def _trusted(path: str) -> str:
    """Return a program; UsageError for one given by its path that is no file or that somebody else can change."""
    if "/" in path:
        if Path(path).exists() and not Path(path).is_file():
            raise UsageError(f"token hook {path[:200]}: is not a file", hint="a hook is an executable file")
        ownership.check(Path(path))
    return path


def available(context: Context) -> list[Available]:
    """Return every provider and hook, in the order in which names are looked up."""
    hooks = []
    for name, (about, make) in BUILTIN.items():
        problem = ""
        try:
            problem = make(context).setup_problem()
        except UsageError as error:
            problem = error.message
        hooks.append(Available(name=name, about=about, usable=problem))
    for path in _hook_files(context):
        shadowed = any(path.name == hook.name for hook in hooks)
        problem = "another hook of this name comes first" if shadowed else ""
        if not os.access(path, os.X_OK):
            problem = "not executable (chmod +x)"
        hooks.append(Available(name=path.name, about="a hook of your own", usable=problem, path=str(path)))
    return hooks


def _hook_files(context: Context) -> list[Path]:
    return [
        path
        for folder in context.hook_dirs
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.is_file() and NAME.fullmatch(path.name)
    ]


def _options(name: str, kind: type[R], context: Context) -> R:
    options: Mapping[str, Any] = context.options.get(name, {})
    return yamlfile.validate(options, kind, where=f"{context.where}.{name}")
