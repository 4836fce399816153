#!/usr/bin/python3
"""The product's pages answer with what they are for, or have counted what has happened; TAP.

ITB_PAGES: a JSON array of pages, each with its URL, status, pattern and counts; ITB_LOOK_FOR: answers or figures.
Exit status 1 while something is missing, so that it can be polled.
"""

import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.parse
import urllib.request
from xml.parsers import expat

_SECONDS = 10
_MOST = 8 << 20  # bytes of a page
_ASSET = re.compile(
    r"<(?:script|img)\b[^>]*?\bsrc\s*=\s*[\"']([^\"'>]+)|<link\b[^>]*?\bhref\s*=\s*[\"']([^\"'>]+)", re.IGNORECASE
)
_UNVERIFIED = ssl._create_unverified_context()
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


def main():
    """Print one result a page, or a figure."""
    pages = json.loads(os.environ["ITB_PAGES"])
    results = []
    for page in pages:
        status, content = fetch(page["url"])
        if os.environ["ITB_LOOK_FOR"] == "answers":
            results.append((page["url"], content, answer(page, status, content)))
        else:
            for name, pattern in sorted(page["counts"].items()):
                problem = figure(page, status, content, name, pattern)
                results.append((f"{page['url']} counts {name}", content, problem))
    if not results:
        print("the product's definition names no figure (counts: of pages:)")
        return 77
    print(f"1..{len(results)}")
    for number, (name, content, problem) in enumerate(results, 1):
        print("not ok" if problem else "ok", number, "-", name.replace("#", "\\#"))
        print("#", problem or f"{len(content)} characters")
        if problem:
            print("#  ", content[:2000].replace("\n", "\n#   "))
    return 1 if any(problem for _, _, problem in results) else 0


def fetch(url):
    """Return the status and text of a URL; a status of 0 with the reason if nobody answers.

    Whose certificate a server has is the site's affair: one that is not the run's is taken, too.
    """
    status, content = _fetch(url, ssl.create_default_context())
    return (status, content) if status or "CERTIFICATE_VERIFY" not in content else _fetch(url, _UNVERIFIED)


def _fetch(url, context):
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS, context=context) as answered:
            return answered.status, answered.read(_MOST).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read(_MOST).decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        return 0, str(getattr(error, "reason", error))


def answer(page, status, content):
    """Return what is wrong with how a page answers; empty if nothing is."""
    if status != page["status"]:
        return refused(page, status, content)
    if status != 200:
        return ""
    if not content.strip():
        return f"{page['url']} is empty"
    problem = malformed(urllib.parse.urlsplit(page["url"]).path, content)
    if problem:
        return f"{page['url']} {problem}"
    if not re.search(page["contains"], content):
        return f"{page['url']} has nothing that matches {page['contains']}"
    return missing(page["url"], content)


def refused(page, status, content):
    """Return how a page answers that should answer otherwise."""
    if not status:
        return f"{page['url']}: no answer: {content}"
    said = " ".join(re.sub(r"<[^>]*>", " ", content).split())[:100]
    return f"{page['url']}: status {status}{f' ({said})' if said else ''}, expected {page['status']}"


def malformed(path, content):
    """Return why a page of data cannot be read; empty if it can."""
    try:
        if path.endswith(".json"):
            json.loads(content, parse_constant=_no_value)
        elif path.endswith(".xml"):
            expat.ParserCreate().Parse(content.encode(), True)
    except ValueError as error:
        return f"is no JSON: {error}"
    except expat.ExpatError as error:
        return f"is no XML: {error}"
    return ""


def _no_value(name):
    """Refuse NaN and its like: Python writes and reads them, browsers and other programs do not."""
    raise ValueError(f"{name} is no value of JSON")


def missing(url, content):
    """Return which scripts, pictures and style sheets of a page on the same server do not answer."""
    if not re.search(r"<html\b", content, re.IGNORECASE):
        return ""
    host, bad = urllib.parse.urlsplit(url).netloc, []
    for match in _ASSET.finditer(_COMMENT.sub("", content)):
        target = urllib.parse.urljoin(url, match.group(1) or match.group(2))
        if urllib.parse.urlsplit(target).netloc == host and target not in bad:
            status, _ = fetch(target)
            if status != 200:
                bad.append(f"{target} (status {status})")
    return f"{url} wants what is not there: {', '.join(bad[:5])}" if bad else ""


def figure(page, status, content, name, pattern):
    """Return what is wrong with a number that a page should have counted; empty if it is 1 or more."""
    if status != 200:
        return refused(page, status, content)
    numbers = re.findall(pattern, content)
    if not numbers:
        return f"{page['url']} says nothing of {name} ({pattern})"
    if any(float(number) > 0 for number in numbers):
        return ""
    return f"{page['url']} says {numbers[0]} of {name} after jobs have run"


if __name__ == "__main__":
    sys.exit(main())
