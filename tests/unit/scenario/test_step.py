"""What is read of the output of a step."""

from __future__ import annotations

import pytest

from itb.process.result import Completed
from itb.scenario import step

ENDS = "| [itb] ends this command"  # build_ws/hosts/reap.sh


@pytest.mark.parametrize(
    "of_the_end",
    [
        "Terminated",
        "Killed",
        "Hangup",
        "bash: line 1: 4711 Terminated              sleep 99",
        "/var/lib/itb/lib/step.sh: line 88:    17 Killed  \"$@\" < /dev/null",
        "zsh: terminated  sleep 99",
        "make: *** [Makefile:2: all] Terminated",
    ],
)
@pytest.mark.parametrize(
    ("out", "err", "last"),
    [
        ("begun\n{ends}\n", "[m] begun\n{ends}\n{said}\n", "begun"),
        ("begun\n{ends}\n{said}\n", "[m] begun\n{ends}\n", "begun"),
        ("half{ends}\n{said}\n", "[m] begun\n", "half"),
        ("begun\n{said}\n{ends}\n{said}, too\n", "[m] begun\n{ends}\n", "{said}"),
        ("begun\n{ends}\n", "[m] begun\n{said}\n{ends}\n{said}, too\n", "{said}"),
        ("[m] try 1 after 1 s: exit status 124\nbegun\n| x\n{ends}\n{said}\n", "[m] begun\n", "begun"),
        ("{ends}\n{said}\n", "[m] begun\n{ends}\n{said}\n", ""),
    ],
)
def test_last_word_of_what_was_ended(of_the_end: str, out: str, err: str, last: str) -> None:
    out, err, last = (text.format(ends=ENDS, said=of_the_end) for text in (out, err, last))
    completed = Completed(("x",), 143, out, err, 1.0, timed_out=True, limit=1.0)
    assert step.StepOutput(completed, "[m]").last_line == last
    assert of_the_end in step.StepOutput(completed, "[m]").evidence
