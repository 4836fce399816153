"""The words of a command line: what they mean, as Invoke takes them, and what is wrong with them."""

from __future__ import annotations

import difflib
import re
import shlex
import sys
from collections.abc import Mapping, Sequence

from itb.cli import documents
from itb.cli.declaration import Command
from itb.config.options import Option
from itb.errors import UsageError

GROUPS = ("platform", "token", "show", "new")
_OF_SHOW = ("run", "config", "product")
_NEXT_STEP = re.compile(r"itb (?P<command>[a-z]+(?: [a-z]+)?)(?P<rest>.*)", re.DOTALL)
_UNSET = "a variable that is not set, perhaps"


def check_text(words: Sequence[str]) -> None:
    """Raise UsageError, which names the option, for a value that is no text: bytes that are no characters here."""
    before = ""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            flag = word.partition("=")[0] if word.startswith("--") else before
            origin = f"flag {flag}" if flag.startswith("--") and flag.isascii() else "the command line"
            encoding = sys.getfilesystemencoding().upper()
            hint = "" if encoding == "UTF-8" else "set LC_ALL=C.UTF-8, or do not set PYTHONUTF8=0"
            shown = word.encode("utf-8", "replace").decode()[:60]
            raise UsageError(f"{origin}: {shown!r} is not valid {encoding}", hint=hint) from None
        before = word


def join_groups(words: Sequence[str]) -> list[str]:
    """Return words with a group and its command as one: ``platform.build X`` for ``platform build X``.

    A group alone, and ``help`` or ``--help`` anywhere, become ``--help`` with
    what is to be explained.  What follows ``show`` and is neither a command
    of it nor nearly one is a run, or an option of ``show run``.
    """
    words = list(words)
    if words and words[0] in documents.HELP:
        words = [*words[1:], "--help"]
    if words in [[group] for group in GROUPS]:
        return ["--help", *words]
    is_slip = words[:1] == ["show"] and _is_slip(words[1:2])
    if len(words) > 1 and words[0] == "show" and words[1] not in (*_OF_SHOW, "--help", "-h") and not is_slip:
        words = ["show", "run", *words[1:]]
    if len(words) > 1 and words[0] in GROUPS and words[1] and not words[1].startswith("-"):
        words = [f"{words[0]}.{words[1]}", *words[2:]]
    if words[:1] == ["shell"]:
        words = _with_command_line(words)
    if len(words) > 1 and words[0][:1] != "-" and ("--help" in words or "-h" in words):
        return ["--help", words[0]]
    return words


def _is_slip(words: Sequence[str]) -> bool:
    """Return whether a word is nearly a command of ``show``: names of runs have digits, their paths a slash."""
    return any(difflib.get_close_matches(word, _OF_SHOW, cutoff=0.8) for word in words)


def _with_command_line(words: list[str]) -> list[str]:
    """Return the words of ``shell`` with all behind RUN and ROLE, whatever they are, as the option ``--command``.

    So are those behind ``--``, where RUN or ROLE are left out.
    """
    place, bare = 1, 0
    while place < len(words) and bare < 2 and words[place] != "--":
        flag, equals, _ = words[place].partition("=")
        bare += flag in ("--run", "--role") or not flag.startswith("-")
        place += 1 if equals or not flag.startswith("--") else 2  # every option of shell takes a value
    rest = words[place:]
    rest = rest[1:] if rest[:1] == ["--"] else rest
    return [*words[:place], *([f"--command={shlex.join(rest)}"] if rest else [])]


def useful_hint(hint: str, typed: Sequence[str]) -> str:
    """Return a hint without the sentences that only advise the command that was just typed.

    One that names it with other words (``itb logs RUN --follow waits``) is
    kept.
    """
    kept = []
    for sentence in hint.split("; "):
        advised = _NEXT_STEP.fullmatch(sentence)
        words = advised["command"].split() if advised else []
        names_more = bool(advised) and re.match(r" (?:-|[A-Z0-9])", advised["rest"] if advised else "") is not None
        size = 2 if words[:1] and words[0] in GROUPS else 1
        if not words or names_more or words[:size] != [*typed[:size]]:
            kept.append(sentence)
    return "; ".join(kept)


def checked(command: Command, words: Sequence[str], known: Sequence[str] = ()) -> list[str]:
    """Return the words behind a command as Invoke takes them; a run given by its position becomes ``--run=RUN``.

    ``known`` are the commands there are.  Raises UsageError, which names the
    option, for one that does not exist, has no value or an empty one, or is
    given twice, for what is required and missing, and for words that remain.
    """
    given, bare = _sorted_out(command, words)
    positional = [option for option in command.options if option.positional and option.name not in given]
    for option in command.options:
        if option.name == "run" and option not in positional and option.name not in given:
            positional.append(option)
            if option.several and len(bare) > len(positional):
                place = len(positional) - 1
                for word in bare[place:]:
                    _check_value(command, option, option.value, word)
                    if word in known:
                        raise _left_over(command, word, known)
                bare = [*bare[:place], ",".join(bare[place:])]
    for option, word in zip(positional, bare, strict=False):
        if word in known and option.choices and word not in option.choices:
            raise _left_over(command, word, known)
        _check_value(command, option, option.value, word)
        given[option.name] = f"{option.flag}={word}"
    if len(bare) > len(positional):
        raise _left_over(command, bare[len(positional)], known)
    missing = [option for option in command.options if option.required and option.name not in given]
    if missing:
        names = ", ".join(option.value if option.positional else option.flag for option in missing)
        raise _error(command, f"not given: {names}")
    for option in command.options:
        if option.name in given:
            _check_choice(command, option, given[option.name].partition("=")[2])
    return list(given.values())


def _sorted_out(command: Command, words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Return options as ``--name=value`` by name, and the words that are none."""
    flags = {option.flag: option for option in command.options}
    flags |= {f"--no-{option.flag[2:]}": option for option in command.options if option.default is True}
    flags |= {option.short: option for option in command.options if option.short}
    given: dict[str, str] = {}
    bare: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("-"):
            bare.append(word)
            continue
        flag, equals, value = word.partition("=")
        option = flags.get(flag)
        if option is None:
            raise _error(command, f"unknown option {flag[:60]!r}{_nearest_option(flag, flags)}")
        if isinstance(option.default, bool):
            if equals:
                raise _error(command, f"option {flag} takes no value")
            new = option.flag if flag == option.short else flag
        else:
            if not equals and option.bare and (not rest or rest[0].startswith("--")):
                given[option.name] = flag
                continue
            if not equals:
                if not rest or rest[0].startswith("--"):
                    raise _error(command, f"option {flag} needs a value")
                value = rest.pop(0)
            _check_value(command, option, f"option {flag}", value)
            new = f"{flag}={value}"
        if given.setdefault(option.name, new) != new:
            raise _given_twice(command, option)
    return given, bare


def _check_value(command: Command, option: Option, what: str, value: str) -> None:
    if not value.strip():
        default = "" if option.required else "; without it the default counts"
        raise _error(command, f"{what} is empty", hint=_UNSET + default)


def _check_choice(command: Command, option: Option, value: str) -> None:
    """Raise UsageError for a value that is none of those there are; those of settings are checked later."""
    if option.choices and not option.setting and value not in option.choices:
        near = difflib.get_close_matches(value, option.choices, n=1, cutoff=0.5)
        told = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(option.choices)}"
        raise _error(command, f"{option.value} {value[:60]!r} is none of those it may be{told}")


def _given_twice(command: Command, option: Option) -> UsageError:
    """Return the error of an option that has two values, of which one would be lost."""
    is_list = option.value == "A,B" or option.several
    hint = f"several in one: {option.flag} A,B" if is_list else "leave one out"
    return _error(command, f"option {option.flag} is given twice", hint=hint)


def _left_over(command: Command, word: str, known: Sequence[str]) -> UsageError:
    """Return the error of a word that a command has no use for."""
    if word in known:
        hint = f"one at a time: itb {command.words} && itb {word}"
        return _error(command, f"{word!r} is a command of its own", hint=hint)
    by_options = {"product", "ref"} <= {option.name for option in command.options}
    hint = f"itb {command.words} --product NAME --ref REF says what is tested" if by_options else ""
    return _error(command, f"{word[:60]!r} is not expected here", hint=hint)


def _error(command: Command, problem: str, *, hint: str = "") -> UsageError:
    return UsageError(f"{command.words}: {problem}", hint=hint or f"itb {command.words} --help explains it")


def _nearest_option(word: str, valid: Mapping[str, Option]) -> str:
    """Return the option that is meant; all begin alike, so that half a likeness means nothing."""
    near = difflib.get_close_matches(word, valid, n=1, cutoff=0.7)
    return f"; did you mean {near[0]!r}?" if near else ""
