"""What is steady growth of what a service holds, and what is not; and which logs fill a disk."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from itb.testbed import growth


def samples(
    value: Callable[[int], int], *, name: str = "descriptors", number: int = 20, restart: int = 0
) -> list[growth.Sample]:
    """One sample every two seconds, as the sampler writes them."""
    rows = []
    for index in range(number):
        unit = {
            "main": "7" if index < restart else "8",
            "figures": {name: value(index)},
            "limits": {"descriptors": 1024, "memory": 4 << 20},
        }
        rows.append(json.dumps({"time": 1000.0 + 2 * index, "units": {"demo.service": unit}, "logs": {}}))
    return growth.parse("\n".join(["no sample", *rows, '{"time": 1']))


def test_descriptors_of_every_loop() -> None:
    (found,) = growth.growing(samples(lambda index: 8 + 20 * index), ["demo"])
    assert (found.what, found.figure, found.limit) == ("demo", "descriptors", 1024)
    assert found.rate == pytest.approx(10)
    text = found.describe(2)
    assert text.startswith("demo: descriptors grow steadily: ")
    assert ", 20 a loop; 0.0 h until the limit of 1024" in text
    assert ", 600 a minute; " in found.describe()


def test_memory_in_mebibytes() -> None:
    (found,) = growth.growing(samples(lambda index: 40_000 + 2048 * index, name="memory"), ["demo"])
    assert "2 MiB a loop" in found.describe(2)
    assert "h until the limit of 4096 MiB" in found.describe(2)


@pytest.mark.parametrize(
    "value",
    [
        lambda _: 8,  # still
        lambda index: min(8 + 4 * index, 30),  # a cache that fills
        lambda index: 8 + 20 * (index % 2),  # what comes and goes
        lambda index: 8 + (10 if index > 12 else 0),  # once
        lambda index: 8 + (10 if index > 6 else 0) + (10 if index > 15 else 0),  # twice
        lambda index: 8 + index // 4,  # little
        lambda index: 80 - 4 * index,  # down
        lambda index: 8 + 3 * index if index < 10 else 38 - 3 * (index - 10),  # jobs that come and end
    ],
)
def test_what_is_no_growth(value: Callable[[int], int]) -> None:
    assert not growth.growing(samples(value), ["demo"])


def test_growth_behind_what_comes_and_goes() -> None:
    (found,) = growth.growing(samples(lambda index: 8 + 2 * index + 30 * (index % 3 == 0)), ["demo"])
    assert found.rate == pytest.approx(1, rel=0.3)


def test_restart_begins_anew() -> None:
    assert not growth.growing(samples(lambda index: 8 if index < 10 else 40, restart=10), ["demo"])


def test_few_samples_say_nothing() -> None:
    assert not growth.growing(samples(lambda index: 8 + 20 * index, number=10), ["demo"])


def test_sockets_are_told_once() -> None:
    rows = [
        json.dumps({
            "time": 2.0 * index,
            "units": {"demo.service": {
                "main": "8", "figures": {"descriptors": 8 + index, "sockets": 2 + index},
                "limits": {"descriptors": 1024},
            }},
            "logs": {},
        })
        for index in range(20)
    ]  # fmt: skip
    (found,) = growth.growing(growth.parse("\n".join(rows)), ["demo"])
    assert (found.figure, found.limit) == ("sockets", 1024)


def logs(sizes: Sequence[dict[str, int]]) -> list[growth.LogGrowth]:
    rows = [json.dumps({"time": 10.0 * index, "units": {}, "logs": item}) for index, item in enumerate(sizes)]
    return growth.growing_logs(growth.parse("\n".join(rows)))


def test_log_that_fills_the_disk() -> None:
    found = logs([{"a": 0, "b": 5}, {"a": 1 << 20}, {"a": 2 << 20}, {"a": 3 << 20, "b": 6}])
    assert [(item.path, item.bytes, item.is_finding) for item in found] == [("a", 3 << 20, True), ("b", 1, False)]
    assert found[0].describe(2) == "a grows by 204.8 KiB a loop, 8640 MiB a day at the pace of this run"


def test_log_that_was_truncated_begins_anew() -> None:
    (found,) = logs([{"a": 100}, {"a": 150}, {"a": 20}, {"a": 30}])
    assert found.bytes == 50 + 20 + 10


@pytest.mark.parametrize("time", ["NaN", "Infinity", "1e400", "5", '"x"'])
def test_host_may_say_anything(time: str) -> None:
    row = '{"time": %s, "units": {"demo.service": {"main": "1", "figures": {"threads": %d, "a\\nb": 1}}}}'
    text = "\n".join(row % (time, 10**number) for number in range(40))
    assert not growth.growing(growth.parse(text), ["demo", "gone"])
    assert not growth.growing_logs(growth.parse(text))
