"""Finding a token provider by its name, and the user's hooks by name or path."""

from __future__ import annotations

import os
from pathlib import Path

from itb.config.lookup import NAME
from itb.errors import UsageError
from itb.model import Record
from itb.tokens.providers.base import Provider, ProviderContext
from itb.tokens.providers.command import HookProvider
from itb.tokens.providers.command import Options as HookOptions
from itb.tokens.providers.file import FileProvider
from itb.tokens.providers.htgettoken import HtgettokenProvider
from itb.tokens.providers.local import LocalProvider
from itb.tokens.providers.vault import VaultProvider
from itb.util import yamlfile

# Every provider, by its name in --token-hook and below token: in itb.yaml.
PROVIDERS: dict[str, type[Provider]] = {
    "local": LocalProvider,
    "file": FileProvider,
    "vault": VaultProvider,
    "htgettoken": HtgettokenProvider,
    "command": HookProvider,
}


class ProviderStatus(Record):
    """A name for ``--token-hook``; ``usable`` is empty, or says why the provider or hook cannot be used."""

    name: str
    about: str
    usable: str = ""
    path: str = ""


def find_provider(name: str, context: ProviderContext) -> Provider:
    """Return the configured provider of a name, or the one that starts the hook of a name or path.

    Raises UsageError with the nearest name if there is none.
    """
    if name in PROVIDERS:
        return _configure(name, context)
    if "/" in name:
        return _hook_provider(Path(name).name, name, context)
    for folder in context.hook_dirs:
        if NAME.fullmatch(name) and (folder / name).exists():
            return _hook_provider(name, str((folder / name).absolute()), context)
    known = sorted({*PROVIDERS, *(path.name for path in _hook_files(context))})
    raise UsageError(
        f"unknown token hook {name!r}{yamlfile.nearest(name, known) or '; known: ' + ', '.join(known)}",
        hint="a hook of your own is an executable file in a folder of setting hooks, or given by its path",
    )


def check_hook(name: str, context: ProviderContext) -> None:
    """Raise UsageError for a name that no provider or hook has, and for a hook whose program cannot be run."""
    provider = find_provider(name, context)
    if isinstance(provider, HookProvider) and (problem := provider.setup_problem()):
        raise UsageError(f"token hook {name[:100]!r}: {problem}")


def _configure(name: str, context: ProviderContext) -> Provider:
    """Return a provider with the options that the configuration has for it."""
    provider_type = PROVIDERS[name]
    section = context.options.get(name, {})
    options = yamlfile.validate(section, provider_type.options_type, where=f"{context.where}.{name}")
    return provider_type(options, context)


def _hook_provider(name: str, path: str, context: ProviderContext) -> HookProvider:
    """Return the provider that starts the hook at a path."""
    return HookProvider(HookOptions(command=(path,)), context, name=name)


def list_providers(context: ProviderContext) -> list[ProviderStatus]:
    """Return every provider and hook, in the order in which names are looked up."""
    statuses = []
    for name, provider_type in PROVIDERS.items():
        problem = ""
        try:
            problem = _configure(name, context).setup_problem()
        except UsageError as error:
            problem = error.message
        statuses.append(ProviderStatus(name=name, about=provider_type.about, usable=problem))
    for path in _hook_files(context):
        is_hidden = any(path.name == status.name for status in statuses)
        problem = "another hook of this name comes first" if is_hidden else ""
        if not os.access(path, os.X_OK):
            problem = "not executable (chmod +x)"
        statuses.append(
            ProviderStatus(name=path.name, about="a hook of your own", usable=problem, path=str(path))
        )
    return statuses


def _hook_files(context: ProviderContext) -> list[Path]:
    """Return the files in the user's folders of hooks that have the name of a hook."""
    return [
        path
        for folder in context.hook_dirs
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.is_file() and NAME.fullmatch(path.name)
    ]
