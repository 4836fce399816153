"""The ``itb`` program: Invoke tasks, errors as one clear message, exit codes of the contract."""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
import traceback
from collections.abc import Sequence
from types import TracebackType

from invoke import Program

from itb import __version__, tasks
from itb.errors import ItbError, TestbedError
from itb.redact import redact

_ARGUMENTS = "ITB_ARGUMENTS_FD"  # names the pipe an itb that started itself again finds its arguments in
_PIPE = 65536  # bytes a pipe holds at least (pipe(7))
GROUPS = ("platform", "token", "show")


def main() -> None:
    """Run a task; an error is its message, its hint on a second line, and its exit code."""
    keep_secrets_of_crashes()
    hide_arguments()
    program = Program(name="itb", binary="itb", version=__version__, namespace=tasks.namespace())
    try:
        program.run(["itb", *join_groups(sys.argv[1:])])
    except ItbError as error:
        sys.stdout.flush()
        print(redact(f"itb: {error.message}"), file=sys.stderr)
        if error.hint:
            print(redact(f"     {error.hint}"), file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone; that is no error of ours
        sys.exit(0)
    except OSError as error:
        print(redact(f"itb: {error}"), file=sys.stderr)
        sys.exit(TestbedError.exit_code)


def keep_secrets_of_crashes() -> None:
    """Tracebacks are redacted, and there is no core: it would hold every token this process saw."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

    def show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        print(redact("".join(traceback.format_exception(kind, error, trace))), file=sys.stderr)

    sys.excepthook = show
    threading.excepthook = lambda seen: show(seen.exc_type, seen.exc_value, seen.exc_traceback)


def hide_arguments() -> None:
    """Start once more where a word of the command line holds a secret: everybody sees it in the process list.

    The second time the words come through a pipe.
    """
    if handed := os.environ.pop(_ARGUMENTS, ""):
        with os.fdopen(int(handed), "rb") as pipe:
            sys.argv[1:] = json.load(pipe)
        return
    words = sys.argv[1:]
    shown = [redact(word) for word in words]
    data = json.dumps(words).encode()
    if shown == words or len(data) > _PIPE:
        return
    print(
        "itb: a secret on the command line could be seen in the process list for a moment;\n"
        "     give it in itb.yaml or in the environment (ITB_SOURCE and so on)",
        file=sys.stderr,
        flush=True,
    )
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    os.set_inheritable(reading, True)
    before = sys.orig_argv[: len(sys.orig_argv) - len(words)]
    os.execve(sys.executable, [*before, *shown], {**os.environ, _ARGUMENTS: str(reading)})


def join_groups(words: Sequence[str]) -> list[str]:
    """``platform build NAME`` as Invoke writes it: ``platform.build NAME``.

    ``--help`` goes in front: behind a task that wants an argument, Invoke
    would take it for the argument.
    """
    if len(words) > 1 and words[0] in GROUPS and not words[1].startswith("-"):
        words = [f"{words[0]}.{words[1]}", *words[2:]]
    if len(words) > 1 and words[0][:1] != "-" and ("--help" in words or "-h" in words):
        return ["--help", words[0]]
    return list(words)


if __name__ == "__main__":
    main()
