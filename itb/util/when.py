"""Reading times and ages that people type, and formatting times, always in UTC."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from itb.errors import UsageError

_UNITS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGE = re.compile(r"(?P<number>\d{1,6})(?P<unit>[mhdw])")
_AGES = "30m, 12h, 3d or 2w"
_STAMP = "%Y%m%dT%H%M%SZ"


def age(text: str, *, option: str) -> float:
    """Return the seconds of an age such as ``30m``, ``12h``, ``3d``, ``2w``; UsageError that names the option."""
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{option}: {text[:60]!r} is no age", hint=f"such as {_AGES}")
    return float(int(match["number"]) * _UNITS[match["unit"]])


def since(text: str, *, option: str, now: float | None = None) -> float:
    """Return the time (epoch) of an age before ``now``, or of a date: ``2026-11-27``, ``2026-11-27T08:00``.

    A date without an offset is in UTC, like itb's own times.  Raises
    UsageError, which names the option, for anything else.
    """
    now = time.time() if now is None else now
    if _AGE.fullmatch(text.strip()):
        return max(0.0, now - age(text, option=option))
    try:
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        hint = f"an age such as {_AGES}, or a date such as 2026-11-27 or 2026-11-27T08:00"
        raise UsageError(f"{option}: {text[:60]!r} is neither an age nor a date", hint=hint) from None


def utc(moment: float) -> str:
    """Return a time (epoch) for people: ``2026-11-27 08:00:00 UTC``."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))


def minute(moment: float) -> str:
    """Return a time (epoch) for a column headed UTC: ``2026-11-27 08:00``."""
    return time.strftime("%Y-%m-%d %H:%M", time.gmtime(moment))


def clock(moment: float) -> str:
    """Return the time of day of a time (epoch): ``08:00:00 UTC``."""
    return time.strftime("%H:%M:%S UTC", time.gmtime(moment))


def iso(moment: float) -> str:
    """Return a time (epoch) for programs: ``2026-11-27T08:00:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def stamp(moment: float) -> str:
    """Return a time (epoch) for the name of a folder, in which names sort by time: ``20261127T080000Z``."""
    return time.strftime(_STAMP, time.gmtime(moment))


def of_stamp(text: str) -> float:
    """Return the time (epoch) that a stamp is of; 0 for a text that is no stamp."""
    try:
        return datetime.strptime(text, _STAMP).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
