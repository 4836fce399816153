"""The cases that warn, or were skipped, flaky or known to fail, grouped by their reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from itb.model import Case, Outcome, Remark

_NAMED = 3  # cases of one reason that are named in a line


@dataclass(frozen=True)
class CaseReason:
    """A reason and the cases that have it; ``label``: they are a warning, flaky, a known failure or skipped."""

    label: str
    reason: str
    cases: Sequence[Case]

    @property
    def subject(self) -> str:
        """Return the names of the first cases, and how many more there are, in one line."""
        names = [f"{case.role}: {case.name}" if case.role else case.name for case in self.cases]
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        return ", ".join(names[:_NAMED]) + more


def group_by_reason(cases: Iterable[Case]) -> list[CaseReason]:
    """Return the reasons with their cases: warnings first, then known failures, flaky cases, then skipped ones.

    The message of a case that failed is left out of the reasons of those that were skipped because of it.
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
    order: list[str] = [Remark.WARNING, Remark.KNOWN_FAILURE, Remark.FLAKY, Outcome.SKIPPED]
    reasons = [CaseReason(label, reason, same) for (label, reason), same in by_reason.items()]
    return sorted(reasons, key=lambda item: order.index(item.label))
