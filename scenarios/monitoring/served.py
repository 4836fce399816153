#!/usr/bin/python3
"""The web server of this host gives nobody a private key or a token of the product, nor lists where they are; TAP.

Looked at are the folders that configuration files of the product's packages put into the web.
"""

import os
import re
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

sys.path.insert(0, os.environ["ITB_LIB"])

import secret_files

_MOST = 50_000  # files
_ALIAS = re.compile(
    r"^\s*(?:Script)?Alias\s+\"?([^\s\"]+)\"?\s+\"?([^\s\"]+)\"?\s*$|^\s*DocumentRoot\s+\"?([^\s\"]+)",
    re.IGNORECASE,
)


def main():
    """Print one result for each place of the web that the product brings."""
    places = sorted(set(find_places()))
    if not places:
        print("the product brings nothing to the web on", os.environ["ITB_ROLE"])
        return 77
    host = "http://" + os.environ["ITB_HOST_" + os.environ["ITB_ROLE"].upper().replace("-", "_")]
    print(f"1..{len(places)}")
    for number, (prefix, folder) in enumerate(places, 1):
        findings = list(exposed(host + prefix.rstrip("/"), Path(folder)))
        print("not ok" if findings else "ok", number, "-", f"{prefix}, which is {folder}")
        for finding in findings[:50]:
            print("#", finding)
    return 0


def find_places():
    """Yield prefix and folder of each alias in configuration files of httpd that the product's packages have."""
    command = ["rpm", "--query", "--list", *os.environ.get("ITB_PACKAGES", "").split()]
    listed = subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout.decode("utf-8", "replace")
    for path in listed.splitlines():
        if re.match(r"/etc/(httpd|apache2)/.*\.conf$", path) and Path(path).is_file():
            for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines():
                match = _ALIAS.match(line)
                if match:
                    yield match.group(1) or "/", match.group(2) or match.group(3)


def exposed(url, top):
    """Yield secrets below a folder that the web server gives, and folders with secrets that it lists."""
    with_secrets = set()
    for path in below(top):
        what = secret_files.kind(path)
        if not what:
            continue
        target = url + "/" + urllib.parse.quote(str(path.relative_to(top)))
        if fetch(target) is not None:
            yield f"{target} gives everybody {what}: {path}"
        with_secrets |= {parent for parent in path.parents if parent == top or top in parent.parents}
    for folder in sorted(with_secrets):
        inner = urllib.parse.quote(str(folder.relative_to(top))) if folder != top else ""
        target = f"{url}/{inner}".rstrip("/") + "/"
        page = fetch(target)
        if page and re.search(rb"<title>Index of ", page):
            yield f"{target} lists {folder}, in which are secrets"


def below(top):
    """Yield the files below a folder, also those that a link leads to."""
    seen = 0
    for folder, _, names in os.walk(str(top), followlinks=True):
        for name in names:
            seen += 1
            if seen > _MOST:
                return
            path = Path(folder, name)
            if path.is_file():
                yield path


def fetch(url):
    """Return the begin of what a URL gives; None if it gives nothing."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answered:
            return answered.read(65536)
    except OSError:
        return None


if __name__ == "__main__":
    sys.exit(main())
