"""The times in a SciToken's claims, in UTC; whether it is genuine is for the CE to say."""

import base64
import json
import time


def token_times(token):
    """Return (valid from, ends) of a token, in seconds since the epoch; ValueError if it is none."""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode())
        return float(claims.get("nbf", 0)), float(claims["exp"])
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        raise ValueError("no token that says when it ends") from None


def utc(seconds):
    """Return a time for people."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def token_problem(token):
    """Return why a CE would not take a token now, empty if its times are right."""
    begins, ends = token_times(token)
    if ends <= time.time():
        return "expired at %s" % utc(ends)
    if begins > time.time():
        return "not valid before %s" % utc(begins)
    return ""
