"""Cases that neither simply passed nor went wrong: known failures, flaky ones, skipped ones, by their reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from itb.model import Case, Outcome, Remark

_NAMED = 3  # cases of one reason that are named in a line


@dataclass(frozen=True)
class Notable:
    """Cases of which the same is to be said; ``label`` is what they are: flaky, known failure, skipped."""

    label: str
    reason: str
    cases: Sequence[Case]

    @property
    def subject(self) -> str:
        """Which cases these are, in a line."""
        names = [f"{case.role}: {case.name}" if case.role else case.name for case in self.cases]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return ", ".join(names[:_NAMED]) + more


def notable(cases: Iterable[Case]) -> list[Notable]:
    """Return them in the order of what to read first; those of the same reason together.

    What went wrong is said where it did, not again as the reason of what it ended.
    """
    by_reason: dict[tuple[str, str], list[Case]] = {}
    cases = tuple(cases)
    causes = [case.message for case in cases if case.is_bad and case.message]
    for case in cases:
        if case.remark or case.outcome is Outcome.SKIPPED:
            reason = case.message or "no reason was given"
            for cause in causes:
                reason = reason.removesuffix(f": {cause}")
            by_reason.setdefault((case.remark or case.outcome, reason), []).append(case)
    order: list[str] = [Remark.KNOWN_FAILURE, Remark.FLAKY, Outcome.SKIPPED]
    found = [Notable(label, reason, members) for (label, reason), members in by_reason.items()]
    return sorted(found, key=lambda item: order.index(item.label))
