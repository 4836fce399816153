"""Debian packages into RPMs: many at a time, with EL's names where EL has other ones.

A converter of its own: standard library only, because it runs inside a
container made of nothing but Debian packages (``python3 -m debtorpm``), with
that Debian's own dpkg-deb and rpmbuild.

``versions`` and ``relations`` translate words, ``debian`` reads a package,
``payload`` lays out its files, ``scripts`` wraps its maintainer scripts,
``spec`` writes what rpmbuild reads, ``batch`` builds many packages at once and
``overrides`` says where a platform wants something else than the translation.

python3 -m debtorpm --overrides FILE --out DIR PACKAGE.deb ...
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from . import overrides
from .batch import Job, convert, manifest
from .errors import ConversionError


def main(argv: list[str]) -> int:
    """Convert the packages named on the command line; 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="debtorpm", description="Convert Debian packages into RPMs.")
    parser.add_argument("packages", nargs="+", type=Path, metavar="PACKAGE.deb")
    parser.add_argument("--overrides", type=Path, help="TOML file of the platform's wishes")
    parser.add_argument("--out", type=Path, required=True, help="directory the RPMs go to")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/debtorpm"), help="emptied before and after")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--manifest", type=Path, help="file to write: which RPM was made from which package")
    options = parser.parse_args(argv)
    clock = time.monotonic()
    try:
        wishes = overrides.load(options.overrides) if options.overrides else overrides.Overrides()
        made = convert(options.packages, wishes, Job(options.out, options.work, options.workers))
        if options.manifest:
            options.manifest.write_text(manifest(made))
    except ConversionError as error:
        print(f"debtorpm: {error}", file=sys.stderr)
        return 1
    print(f"{len(made)} packages converted in {time.monotonic() - clock:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
