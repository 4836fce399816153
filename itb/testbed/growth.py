"""What services hold more and more of while they run, and which logs grow: read from samples of a host."""

from __future__ import annotations

import bisect
import itertools
import shlex
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter, ValidationError

from itb.containers.host import Host
from itb.data import shipped
from itb.model import Moment, Record
from itb.process.request import Request
from itb.util.text import one_line

SAMPLES = "/var/lib/itb/samples.jsonl"
EVERY = 1.5  # seconds
_MOST_SAMPLES = 7200  # three hours
_MOST_BYTES = 24 << 20
PARTS = 4  # of a run, from each of which growth is read
_LEAST_SAMPLES = 3 * PARTS
_LEAST_STEP = 0.05  # seconds between two samples
_LEAST_SECONDS = 15.0
_WARM_UP = 5.0  # seconds in which a service reads what it needs
# What grows by less in a run is no finding, by what it is: KiB of memory, else a number.
_LEAST = {"memory": 8 << 10}
_LEAST_NUMBER = 6
_FIGURES = ("processes", "descriptors", "sockets", "threads", "memory", "temporary files")
_LIMITED_AS = {"sockets": "descriptors", "processes": "threads"}
_EVEN = 0.5  # the least part of the growth of each part of a run compared with the mean
_NEEDED_MIB = 1.0  # a minute: a log that grows by more fills a disk before it is rotated


# A host may say anything of itself.
_Figure = Annotated[int, Field(ge=0, le=1 << 50)]


class UnitSample(Record):
    """What a unit's processes held, and its limits; memory is in KiB."""

    main: str
    figures: dict[str, _Figure]
    limits: dict[str, _Figure] = {}


class Sample(Record):
    """A sample of a host; ``logs`` are the sizes of those that have changed since the one before."""

    time: Moment
    units: dict[str, UnitSample] = {}
    logs: dict[str, _Figure] = {}


_SAMPLE = TypeAdapter(Sample)


@dataclass(frozen=True)
class Growth:
    """A figure of a unit, or a log, that grows steadily; ``rate`` is in units a second."""

    what: str
    figure: str
    first: int
    last: int
    seconds: float
    limit: int = 0

    @property
    def rate(self) -> float:
        """Return how much is added in a second."""
        return (self.last - self.first) / self.seconds

    def describe(self, loop: float = 0) -> str:
        """Return the growth in one line: figures, rate, and the hours that are left to its limit.

        ``loop`` is the length of a loop of the product's services in seconds, 0 if it is not known.
        """
        verb = "memory grows" if self.figure == "memory" else f"{self.figure} grow"
        unit, scale = (" MiB", 1024.0) if self.figure == "memory" else ("", 1.0)
        each = f"{self.rate * (loop or 60) / scale:.3g}{unit} a {'loop' if loop else 'minute'}"
        text = f"{self.first / scale:.0f} to {self.last / scale:.0f}{unit} in {self.seconds:.0f} s, {each}"
        if not self.limit:
            return f"{self.what}: {verb} steadily: {text}"
        hours = max(0.0, (self.limit - self.last) / self.rate / 3600)
        limit = f"{self.limit / scale:.0f}{unit}"
        return f"{self.what}: {verb} steadily: {text}; {hours:.1f} h until the limit of {limit}"


def parse(text: str) -> list[Sample]:
    """Return the samples of a host, each later than the one before; lines that are none are left out."""
    samples: list[Sample] = []
    for line in text.splitlines():
        with suppress(ValidationError):
            sample = _SAMPLE.validate_json(line)
            if not samples or sample.time >= samples[-1].time + _LEAST_STEP:
                samples.append(sample)
    return samples


def growing(samples: Sequence[Sample], units: Iterable[str]) -> list[Growth]:
    """Return the figures of units that grow steadily, while a unit's main process was the same for longest."""
    found: list[Growth] = []
    for unit in (unit if "." in unit else f"{unit}.service" for unit in units):
        own = [(sample.time, sample.units[unit]) for sample in samples if unit in sample.units]
        segments: list[list[tuple[float, UnitSample]]] = [[]]
        for time, figures in own:
            if segments[-1] and segments[-1][-1][1].main != figures.main:
                segments.append([])
            segments[-1].append((time, figures))
        longest = max(segments, key=len)
        if not longest:
            continue
        found += _growing_figures(unit.removesuffix(".service"), longest)
    return found


def _growing_figures(unit: str, samples: Sequence[tuple[float, UnitSample]]) -> Iterator[Growth]:
    times = [time for time, _ in samples]
    start = bisect.bisect_left(times, times[0] + _WARM_UP)
    kept = samples[start:]
    if len(kept) < _LEAST_SAMPLES or kept[-1][0] - kept[0][0] < _LEAST_SECONDS:
        return
    limits = kept[-1][1].limits
    names = [name for name in _FIGURES if all(name in item.figures for _, item in kept)]
    for name in names:
        values = [(time, item.figures[name]) for time, item in kept]
        if (growth := steady(values, _LEAST.get(name, _LEAST_NUMBER))) and not _is_of(name, kept, names):
            first, last, seconds = growth
            yield Growth(unit, name, first, last, seconds, limits.get(_LIMITED_AS.get(name, name), 0))


def _is_of(name: str, samples: Sequence[tuple[float, UnitSample]], names: Iterable[str]) -> bool:
    """Return whether a figure grows because another does: sockets are descriptors, each process has a thread."""
    more = next((part for part, whole in _LIMITED_AS.items() if whole == name and part in names), "")
    if not more:
        return False
    (_, first), (_, last) = samples[0], samples[-1]
    added = last.figures[name] - first.figures[name]
    return last.figures[more] - first.figures[more] >= added * 0.9


def steady(values: Sequence[tuple[float, int]], least: int) -> tuple[int, int, float] | None:
    """Return from what to what a figure grows and in how many seconds, if it does so in every part of the run.

    The least figure of each part counts: what comes and goes is no growth.
    """
    size = len(values) // PARTS
    parts = [values[len(values) - size * (PARTS - number) :][:size] for number in range(PARTS)]
    lows = [min(part, key=lambda item: item[1]) for part in parts]
    steps = [after[1] - before[1] for before, after in itertools.pairwise(lows)]
    total = lows[-1][1] - lows[0][1]
    if total < least or min(steps) < _EVEN * total / len(steps):
        return None
    return lows[0][1], lows[-1][1], lows[-1][0] - lows[0][0]


@dataclass(frozen=True)
class LogGrowth:
    """How much a log grew in a number of seconds."""

    path: str
    bytes: int
    seconds: float

    @property
    def is_finding(self) -> bool:
        """Return whether it fills a disk."""
        return self.bytes / self.seconds * 60 > _NEEDED_MIB * (1 << 20)

    def describe(self, loop: float = 0) -> str:
        """Return the growth in one line: by loop, and by day."""
        rate = self.bytes / self.seconds
        each = f"{rate * loop / 1024:.1f} KiB a loop" if loop else f"{rate * 60 / 1024:.1f} KiB a minute"
        day = f"{rate * 86400 / (1 << 20):.0f} MiB a day"
        return f"{one_line(self.path)} grows by {each}, {day} at the pace of this run"


def growing_logs(samples: Sequence[Sample]) -> list[LogGrowth]:
    """Return how much each log grew, the one that grew most first; one that was truncated began anew."""
    if len(samples) < 2 or (seconds := samples[-1].time - samples[0].time) < _LEAST_SECONDS:
        return []
    sizes: dict[str, int] = dict(samples[0].logs)
    grown: dict[str, int] = {}
    for sample in samples[1:]:
        for path, size in sample.logs.items():
            grown[path] = grown.get(path, 0) + (size - sizes[path] if size >= sizes.get(path, size + 1) else size)
            sizes[path] = size
    found = [LogGrowth(path, count, seconds) for path, count in grown.items()]
    return sorted(found, key=lambda item: -item.bytes)


def start_script(units: Sequence[str], globs: Sequence[str]) -> str:
    """Return a bash script that starts the sampler on a host; it costs no call of the engine of its own."""
    sampler = (shipped.folder("build_ws") / "hosts" / "sampler.py").read_text(encoding="utf-8")
    argv = ["python3", "-I", "-", SAMPLES, str(EVERY), str(_MOST_SAMPLES), *units, "--", *globs]
    return f"setsid {shlex.join(argv)} >/dev/null 2>&1 <<'END_OF_SAMPLER' &\n{sampler}\nEND_OF_SAMPLER\n"


def read_samples(host: Host) -> list[Sample]:
    """Return the samples of a host; none if no sampler was started there."""
    argv = ["tail", f"--bytes={_MOST_BYTES}", SAMPLES]
    return parse(host.run(Request(argv, check=False, about="read what services held")).stdout)


def owner(host: Host, unit: str) -> str:
    """Return the name of the package that brings a unit; empty if none does."""
    path = "$(systemctl show --value --property=FragmentPath \"$1\")"
    script = f'rpm --query --file --queryformat "%{{NAME}}\\n" "{path}"'
    completed = host.script(script, Request([unit], check=False, about=f"whose unit is {unit}"))
    return completed.stdout.strip() if completed.ok else ""
