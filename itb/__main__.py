"""The ``itb`` program: it runs a command; an error becomes one message and an exit code."""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import signal
import sys
import threading
import traceback
from contextlib import suppress
from types import FrameType, TracebackType
from typing import NoReturn

from itb.cli import arguments as cli_arguments
from itb.cli import documents
from itb.cli import program as cli_program
from itb.cli.tasks import collection
from itb.errors import InterruptedRunError, ItbError, TestbedError, UsageError
from itb.util import ownership
from itb.util.files import settle_search_paths
from itb.util.redact import redact
from itb.util.text import clean, one_line
from itb.version import JSON_FORMAT, VERSION

_ARGUMENTS = "ITB_ARGUMENTS_FD"  # number of the pipe that has the arguments of an itb that started itself again
_PIPE = 65536  # bytes a pipe holds at least (pipe(7))


def main() -> None:
    """Run a command; print the message and the hint of an error, and end with its exit code."""
    open_closed_streams()
    escape_unprintable()
    redact_crashes()
    handle_signals()
    settle_search_paths(os.environ)
    os.umask(os.umask(0o022) | 0o022)  # nothing that itb makes can be written by others
    try:
        cli_arguments.check_encoding(sys.argv[1:])
        hide_secret_arguments()
        namespace = collection.namespace()
        command_names = [*namespace.task_names, *cli_arguments.GROUPS]
        if topic := documents.requested_topic(sys.argv[1:], command_names):
            documents.show(topic)
            return
        ownership.settle_temporary_folder()
        program = cli_program.ItbProgram(name="itb", binary="itb", version=VERSION, namespace=namespace)
        program.run(["itb", *cli_arguments.join_groups(sys.argv[1:])])
    except ItbError as error:
        fail(error)
    except BrokenPipeError:
        sys.exit(0)  # whoever read our output has gone; that is no error of ours
    except OSError as error:
        place = error.filename or _stream_at_fault(error)
        message = f"{place}: {error.strerror}" if place else str(error.strerror or error)
        if error.errno == errno.ENAMETOOLONG:  # only the arguments can hold such a name
            fail(UsageError(f"{str(error.filename)[:60]!r}...: {error.strerror}"))
        fail(TestbedError(one_line(message)))
    except Exception:  # noqa: BLE001 - a mistake of itb's is no wrong command line
        sys.excepthook(*sys.exc_info())
        sys.exit(TestbedError.exit_code)
    finally:
        flush_streams()


def fail(error: ItbError) -> NoReturn:
    """Report the error that ends itb on standard error, with ``--json`` also as the one JSON document."""
    hint = cli_arguments.useful_hint(error.hint, sys.argv[1:])
    print_error(f"itb: {error.message}", *([f"     {hint}"] if hint else []))
    if "--json" in sys.argv:
        error_document = {"message": clean(error.message), "hint": clean(hint), "exit_code": error.exit_code}
        with suppress(OSError):
            print(json.dumps({"format": JSON_FORMAT, "error": error_document}))
    sys.exit(error.exit_code)


def open_closed_streams() -> None:
    """Open /dev/null for each closed standard stream: the next file would get its number."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number that is free
        if getattr(sys, name) is None:  # Python's word for closed
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def escape_unprintable() -> None:
    """Have standard output escape characters that the locale lacks, as standard error does."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_error(*lines: str) -> None:
    """Print lines to standard error, if it is still open."""
    with suppress(OSError):
        sys.stdout.flush()
    with suppress(OSError):
        for line in lines:
            print(clean(line), file=sys.stderr)


def flush_streams() -> None:
    """Flush standard output and error; a reader that has gone must not change the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _stream_at_fault(error: OSError) -> str:
    """Return the name of standard output if an error without a file is its error, else nothing."""
    try:
        sys.stdout.flush()
    except OSError as again:
        return "standard output" if again.errno == error.errno else ""
    except ValueError:  # closed
        pass
    return ""


def handle_signals() -> None:
    """End itb on a signal that no run handles, with the exit code of an interruption."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise InterruptedRunError(f"interrupted by {signal.Signals(number).name}")

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, end)


def redact_crashes() -> None:
    """Redact tracebacks and write no core file, which would hold every token this process saw."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))

    def show(kind: type[BaseException], error: BaseException | None, trace: TracebackType | None) -> None:
        print(redact("".join(traceback.format_exception(kind, error, trace))), file=sys.stderr)

    sys.excepthook = show
    threading.excepthook = lambda crash: show(crash.exc_type, crash.exc_value, crash.exc_traceback)


def hide_secret_arguments() -> None:
    """Start itb again if its arguments hold a secret, which everybody sees in the process list.

    The second process reads the arguments from a pipe.
    """
    if descriptor := os.environ.pop(_ARGUMENTS, ""):
        try:
            with os.fdopen(int(descriptor), "rb") as pipe:
                sys.argv[1:] = json.load(pipe)
        except (ValueError, OSError):
            message = f"{_ARGUMENTS} is itb's own, and {descriptor[:60]!r} is not"
            raise UsageError(message, hint="unset it") from None
        return
    arguments = sys.argv[1:]
    redacted = [redact(argument) for argument in arguments]
    data = json.dumps(arguments).encode()
    if redacted == arguments or len(data) > _PIPE:
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
    before = sys.orig_argv[: len(sys.orig_argv) - len(arguments)]
    os.execve(sys.executable, [before[0], "-P", *before[1:], *redacted], {**os.environ, _ARGUMENTS: str(reading)})


if __name__ == "__main__":
    main()
