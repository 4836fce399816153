"""The documents that ``itb help TOPIC`` shows, in a checkout and in a wheel."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Collection, Sequence

from itb.cli import help_text
from itb.errors import UsageError

# What each topic is about, and its file below the package.  Three files lie outside of it in a checkout; data/ has
# links to them, which are files in a wheel.
TOPICS = {
    "overview": ("what it is, the first two commands, what people do with it", "data/overview.md"),
    "commands": ("every command, how references are named, what --json prints", "cli/README.md"),
    "configuration": ("itb.yaml, ITB_* variables, limits, retries", "config/README.md"),
    "products": ("products, variants, versions, building, mock, rpmlint, platforms", "build_ws/README.md"),
    "repositories": ("testing published packages, publishing a run's", "build_ws/publish/README.md"),
    "scenarios": ("scenario files, their steps and environment, testbeds", "scenarios/README.md"),
    "tokens": ("providers, how to write a hook, renewal, how secrets are kept", "tokens/README.md"),
    "reports": ("run directory, exit codes, verdicts, resuming, limits", "reports/README.md"),
    "machine": ("what a machine needs, doctor, clean, the cache", "build_ws/machine/README.md"),
    "security": ("who is trusted with what, what is not defended, how to report", "data/security.md"),
    "deb13": ("the platform made of Debian's packages", "build_ws/platforms/deb13/README.md"),
    "enterprise-linux": ("the platforms el8, el9 and el10", "build_ws/platforms/common-el/README.md"),
    "architecture": ("how the code is laid out, how data flows, the life of a run", "README.md"),
    "tests": ("how it is tested, what was measured, what is supported", "data/tests.md"),
}
TOPIC_LIST = "topics"
HELP_FLAGS = ("help", "--help", "-h")  # arguments before a topic or a command


def requested_topic(arguments: Sequence[str], commands: Collection[str]) -> str:
    """Return the topic of ``help TOPIC`` or ``--help TOPIC``; empty for any other arguments.

    Raises UsageError with the nearest name for what is neither a topic nor a
    command, and for more than one topic.
    """
    if len(arguments) < 2 or arguments[0] not in HELP_FLAGS or arguments[1].startswith("-"):
        return ""
    topic, *more = arguments[1:]
    if topic in (*TOPICS, TOPIC_LIST) and more:
        raise UsageError(f"help {topic}: {more[0][:60]!r} is not expected here", hint=f"itb help {topic} shows it")
    if more or topic in commands:
        return ""
    if topic not in (*TOPICS, TOPIC_LIST):
        from itb.util.yamlfile import nearest  # what it imports is not for every itb --help

        near = nearest(topic, [*TOPICS, TOPIC_LIST, *commands])
        if near and near == nearest(topic, [*commands]):
            return ""  # a misspelt command: the parser refuses it
        hint = "itb help topics lists the topics, itb --help the commands"
        raise UsageError(f"no help on {topic[:60]!r}{near}", hint=hint)
    return topic


def text(topic: str) -> str:
    """Return the document of a topic, in Markdown; for ``topics``, the list of topics."""
    if topic == TOPIC_LIST:
        descriptions = [(name, about) for name, (about, _) in TOPICS.items()]
        return "\n".join(help_text.list_topics(descriptions, help_text.terminal_width())) + "\n"
    from importlib.resources import files

    document = files("itb").joinpath(TOPICS[topic][1])
    top = TOPICS[topic][1].partition("/")[0]
    if top in ("build_ws", "scenarios", "reports"):
        from itb.data import shipped

        document = shipped.folder(top).joinpath(TOPICS[topic][1].partition("/")[2])
    return document.read_text(encoding="utf-8")


def _has_pager() -> bool:
    """Return whether the pager that the environment names is installed; True if it names none: rich finds one."""
    named = os.environ.get("MANPAGER") or os.environ.get("PAGER") or ""
    return not named or shutil.which(named.split()[0] if named.split() else "") is not None


def show(topic: str) -> None:
    """Print the document of a topic: rendered in a pager on a terminal, else as Markdown."""
    if topic == TOPIC_LIST or not sys.stdout.isatty() or not _has_pager():
        print(text(topic), end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    os.environ.setdefault("LESS", "-FRX")  # less shows colours, and ends by itself where all fits the screen
    # Ctrl-C is for the pager: Python's waiting goes on after a KeyboardInterrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    console = Console()
    with console.pager(styles=True):
        console.print(Markdown(text(topic)), width=min(console.width, 100))
