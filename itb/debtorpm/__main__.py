"""Converting Debian packages into RPMs, many at a time, with EL's names where they differ.

It uses the standard library only, because it runs inside a container made of
Debian packages alone (``python3 -m debtorpm``), with that Debian's own
dpkg-deb and rpmbuild.

``versions`` and ``relations`` translate terms, ``debian`` reads a package,
``payload`` lays out its files, ``scripts`` wraps its maintainer scripts,
``spec`` writes what rpmbuild reads, ``batch`` builds many packages at once and
``overrides`` holds what a platform changes in the translation.

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
    """Convert the packages named on the command line; return 0, or 1 with the reason on stderr."""
    parser = argparse.ArgumentParser(prog="debtorpm", description="Convert Debian packages into RPMs.")
    parser.add_argument("packages", nargs="+", type=Path, metavar="PACKAGE.deb")
    parser.add_argument("--overrides", type=Path, help="TOML file of the platform's overrides")
    parser.add_argument("--out", type=Path, required=True, help="directory the RPMs go to")
    parser.add_argument("--work", type=Path, default=Path("/var/tmp/debtorpm"), help="emptied before and after")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--manifest", type=Path, help="file to write: which RPM was made from which package")
    options = parser.parse_args(argv)
    started = time.monotonic()
    try:
        platform_overrides = overrides.load(options.overrides) if options.overrides else overrides.Overrides()
        rpms = convert(options.packages, platform_overrides, Job(options.out, options.work, options.workers))
        if options.manifest:
            options.manifest.write_text(manifest(rpms))
    except ConversionError as error:
        print(f"debtorpm: {error}", file=sys.stderr)
        return 1
    print(f"{len(rpms)} packages converted in {time.monotonic() - started:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
