"""``itb logs --follow``: new lines of a run's logs while it goes on, or of a host that is up."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from itb.cli.commands import common, hosts
from itb.config.settings import Settings
from itb.containers.connection import connect
from itb.containers.host import Host
from itb.errors import ItbError
from itb.model import Outcome
from itb.process import orphans
from itb.process.request import Request
from itb.process.runner import Runner
from itb.process.stop import Ending
from itb.report.summary import PLAIN_MARKS
from itb.roles import ITB
from itb.rundir import case_history, values
from itb.rundir import logs as rundir_logs
from itb.rundir.directory import CASES, RunDir
from itb.rundir.logs import Log
from itb.util import files
from itb.util.text import clean, one_line

_LINES = 40  # of what a host has logged already
_POLL = 0.3  # seconds between two looks for new lines
_LONGEST = 30 * 86400.0  # seconds new lines of a host are waited for
# In a host: the journal, or the files below /var/log with a word in their names, and what is added to them.
_JOURNAL = ("journalctl", "--boot", "--no-pager", "--output=short-precise", "--follow", "--lines")
_FOLLOW_FILES = """
mapfile -t files < <(find /var/log -type f -path "*$1*")
[ "${#files[@]}" -gt 0 ] || { echo "no file below /var/log has $1 in its name"; exit 1; }
exec tail --lines="$2" --follow=name --retry -- "${files[@]}"
"""


@dataclass(frozen=True)
class LogQuery:
    """The logs to show: of a run, a place and a name (empty for any); ``lines`` limits each, None is no limit."""

    rundir: RunDir
    place: str
    name: str
    lines: int | None


def write(text: str) -> None:
    """Print the text of a log without control sequences, also into a pipe: a pager hands them on."""
    sys.stdout.write(clean(text))
    if text and not text.endswith("\n"):
        sys.stdout.write("\n")
    sys.stdout.flush()


def follow(settings: Settings, query: LogQuery) -> bool:
    """Print new lines of logs until the run has ended or the host is gone; False at once if neither is up."""
    testbed_hosts = query.rundir.load_if_readable(values.TESTBED)
    is_host = testbed_hosts is not None and query.place in [host.role for host in testbed_hosts.hosts]
    if is_host and query.place in hosts.roles_up(common.find_engine(settings), query.rundir):
        _follow_host(settings, query)
        return True
    if not query.rundir.is_locked(may_be_removed=False):
        return False

    _print_growing(query, lambda: _growing(query), lambda: query.rundir.is_locked(may_be_removed=False))
    return True


def _growing(query: LogQuery) -> list[Path]:
    """Return the files to follow that are there by now."""
    logs = [log for log in rundir_logs.list_logs(query.rundir) if _is_growing(log, query)]
    return [log.path for log in (rundir_logs.select_by_name(logs, query.name) if query.name else logs)]


def _is_growing(log: Log, query: LogQuery) -> bool:
    """Return whether to follow a log: without a place, neither itb's nor those of hosts, collected at the end."""
    if query.place:
        return log.place == query.place
    folders = [query.rundir.path / name for name in ("setup", "hosts")]
    return log.place != ITB and not any(log.path.is_relative_to(folder) for folder in folders)


def _print_growing(query: LogQuery, current: Callable[[], Iterable[Path]], goes_on: Callable[[], bool]) -> None:
    """Print new lines of the files that ``current`` returns while ``goes_on``, each file's name before its lines.

    Without a place in the query, print the cases that end, too.
    """
    ends: dict[Path, int] = {}
    last: Path | None = None
    pause = threading.Event()
    cases = query.rundir.path / CASES
    going = True
    while going:
        going = goes_on()  # first: what was added until it ended is still printed
        for path in current():
            added, ends[path] = _added(path, ends.get(path, 0))
            if added:
                if path != last:
                    write(f"==> {query.rundir.relative(path)} <==")
                write(added)
                last = path
        if not query.place:
            added, ends[cases] = _added(cases, ends.get(cases, 0))
            for line in _case_lines(added):
                write(line)
                last = None
        pause.wait(_POLL if going else 0)


def _case_lines(lines: str) -> Iterable[str]:
    """Yield a line for each case that has ended, from lines of ``cases.jsonl``."""
    for case in case_history.read(lines.encode()).cases:
        where = f"{case.phase}.{case.role}" if case.role else case.phase
        message = f": {one_line(case.message)}" if case.message and case.outcome is not Outcome.PASSED else ""
        yield f"{PLAIN_MARKS[case.outcome]} {where} {case.name}{message}\n"


def _added(path: Path, start: int) -> tuple[str, int]:
    """Return the complete lines of a file from byte ``start`` on, and the byte where they end."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            data = file.read()
    except OSError:
        return "", start
    data = data[: data.rfind(b"\n") + 1]
    return data.decode("utf-8", "replace"), start + len(data)


def _follow_host(settings: Settings, query: LogQuery) -> None:
    """Print a host's journal, or its log files of a name, as they grow, until it is gone or a signal comes."""
    lines = str(query.lines or _LINES)
    argv: Sequence[str] = [*_JOURNAL, lines]
    if query.name:
        argv = ["bash", "-c", _FOLLOW_FILES, "follow", query.name, lines]
    ending, problems = Ending(), list[ItbError]()
    with ending.listening(_LONGEST), orphans.guard(), files.temporary_folder() as folder:
        log = folder / "live" / f"{query.place}.log"
        log.parent.mkdir()
        log.touch()
        runner = Runner(stop=ending.stop(), limits=settings.time_limits, retries=settings.retries)
        engine = connect(runner, settings.engine, settings.cache_dir)
        host = Host(engine, hosts.container_of(query.rundir, query.place), query.place)

        def read() -> None:
            try:
                host.run(Request(argv, log=log, check=False, timeout=_LONGEST))
            except ItbError as error:
                problems.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        end = 0
        going = True
        while going:
            reader.join(_POLL)
            going = reader.is_alive()
            added, end = _added(log, end)
            write(added)
    if problems and not ending.signals:
        raise problems[0]
