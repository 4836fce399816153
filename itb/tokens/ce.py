"""Asking a CE whether it can reach a token's issuer, and why it refused a token.

A client of HTCondor only sees AUTHENTICATE:1004; the log of the daemon that
refused it has the reason.
"""

from __future__ import annotations

import re

from itb.containers.host import Host
from itb.process.request import Request
from itb.util.redact import redact

# Lines begin with their time, so the last one is the newest of all logs.  $1: seconds since the epoch
_LAST_REFUSAL = """
since=$(date --date="@$1" '+%Y/%m/%d %H:%M:%S')
for log in /var/log/condor/SchedLog /var/log/condor/CollectorLog /var/log/condor-ce/SchedLog; do
    tail -n 400 "$log" 2>/dev/null
done | grep -E 'SCITOKENS:2:|Failed to map SCITOKENS' |
    awk -v since="$since" '{ split($1, day, "/"); if ("20" day[3] "/" day[1] "/" day[2] " " $2 >= since) print }' |
    sort | tail -n 1
"""
_DISCOVERY = "/.well-known/openid-configuration"

# Exit codes of curl(1)
_CURL_ERRORS = {
    6: "the CE does not know the name of its host",
    7: "nothing listens there: the issuer's web server is down",
    22: "the web server answers, and does not have it",
    28: "no answer within 4 s, which is all a CE waits",
    35: "the TLS handshake fails",
    51: "its certificate is for another name",
    77: "the CE has no CA bundle at all",
    60: "its CA is not in the CE's system bundle (update-ca-certificates, on EL update-ca-trust)",
}

# scitokens-cpp 1.1 and HTCondor 23.9: what they write -> what it means
_REASONS = {
    r"token expired": "the token has expired, or is not valid yet",
    r"invalid signature": "the signature does not fit: signed with another key, or changed since",
    r"'aud' claim verification failed": "the token is meant for another audience",
    r"Key ID is not published": "the issuer does not publish the key the token is signed with",
    r"Failed to retrieve metadata provider information": "the CE cannot get the issuer's keys",
    r"wrong algorithm": "the token is signed with an algorithm the CE does not take",
    r"Failed to map SCITOKENS": "the CE maps no user to this issuer and subject",
}


def issuer_problem(ce: Host, issuer: str) -> str:
    """Return why a CE cannot get an issuer's keys, empty if it can.

    The request comes from the CE itself, with its own name resolution and its
    own CA bundle.
    """
    url = f"{issuer}{_DISCOVERY}"
    completed = ce.run(Request(
        ["curl", "--silent", "--show-error", "--fail", "--max-time", "4", "--output", "/dev/null", url],
        timeout=ce.engine.runner.limits("look"),
        check=False,
    ))
    if completed.ok:
        return ""
    return f"host {ce.role} cannot read {url}: {_CURL_ERRORS.get(completed.returncode, completed.reason)}"


def find_refusal(ce: Host, issuer: str = "", *, since: float = 0) -> str:
    """Return why a CE refused the last token, empty if its logs do not say.

    ``since`` is in seconds since the epoch: older refusals do not count.
    With ``issuer``, it first checks whether the CE can reach that issuer.
    """
    problem = issuer_problem(ce, issuer) if issuer else ""
    if problem:
        return problem
    argv = ["sh", "-c", _LAST_REFUSAL, "refusal", str(int(since))]
    newest = ce.run(Request(argv, timeout=ce.engine.runner.limits("look"), check=False))
    line = redact(newest.stdout.strip())
    if not line:
        return ""
    reason = line.rpartition("SCITOKENS:2:")[2].partition("|")[0].strip()[-300:]
    meaning = next((text for expression, text in _REASONS.items() if re.search(expression, line)), "")
    return f"{meaning} ({reason})" if meaning else reason
