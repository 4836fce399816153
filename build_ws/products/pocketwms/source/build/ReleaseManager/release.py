#!/usr/bin/env python3
"""Makes a release of Pocket WMS: the source tarball and, from it, the RPMs.

Release candidate 1 of 1.2.0 is pocketwms-*-1.2.0-0.1.rc1.*.rpm, a build after
it (--rpm-release 4) 1.2.0-0.1.rc1.4, the release 1.2.0-1.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile

LEFT_OUT = {".git", ".gitignore", "__pycache__"}


def parse_options():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release-version", required=True, metavar="1_2_0", help="version to release")
    parser.add_argument("--source-dir", required=True, help="directory of the source code")
    parser.add_argument("--release-dir", default="/tmp/release", help="directory the release is made in")
    parser.add_argument("--rc", help="number of the release candidate")
    parser.add_argument("--rpm-release", help="release number of the RPMs")
    parser.add_argument("--skip-rpm", action="store_true", help="make the tarball only")
    parser.add_argument("--no-mock", dest="use_mock", action="store_false", help="use rpmbuild instead of mock")
    parser.add_argument("--python-version", default="python3", help="accepted for the sake of older callers")
    parser.add_argument("--verbose", action="store_true", help="show what rpmbuild says")
    return parser.parse_args()


def rpm_release(rc, number):
    """Return the Release of the RPMs, without the distribution."""
    if rc:
        return "0.%s.rc%s%s" % (rc, rc, "." + number if number else "")
    return number or "1"


def make_tarball(source, target):
    """Pack the source tree as pocketwms/."""

    def keep(member):
        return None if LEFT_OUT & set(member.name.split("/")) else member

    with tarfile.open(target, "w:gz") as tarball:
        tarball.add(source, arcname="pocketwms", filter=keep)
    print("tarball %s" % target)


def make_rpms(options, tarball, top):
    """Run rpmbuild; its status."""
    for name in ("SOURCES", "SPECS"):
        os.makedirs(os.path.join(top, name))
    shutil.copy(tarball, os.path.join(top, "SOURCES", "pocketwms.tar.gz"))
    with open(os.path.join(options.source_dir, "build/packaging/rpm/pocketwms.spec"), encoding="utf-8") as file:
        spec = file.read()
    spec = spec.replace("__POCKET_RPM_VERSION__", options.release_version.replace("_", "."))
    spec = spec.replace("__POCKET_RPM_RELEASE__", rpm_release(options.rc, options.rpm_release))
    path = os.path.join(top, "SPECS", "pocketwms.spec")
    with open(path, "w", encoding="utf-8") as file:
        file.write(spec)
    command = ["rpmbuild", "-ba", "--define", "_topdir " + top, path]
    if not options.verbose:
        command.insert(1, "--quiet")
    return subprocess.call(command)


def main():
    """Do it all; the exit status."""
    options = parse_options()
    if options.use_mock and not options.skip_rpm:
        print("mock is not supported: use --no-mock", file=sys.stderr)
        return 2
    version = options.release_version + ("_rc" + options.rc if options.rc else "")
    release = os.path.join(os.path.abspath(options.release_dir), version)
    shutil.rmtree(release, ignore_errors=True)
    os.makedirs(release)
    tarball = os.path.join(release, "pocketwms_v%s.tgz" % version)
    make_tarball(options.source_dir, tarball)
    if options.skip_rpm:
        return 0
    status = make_rpms(options, tarball, os.path.join(release, "rpmbuild"))
    print("RPMs %s: %s" % (version, "made" if status == 0 else "rpmbuild ended with status %d" % status))
    return 1 if status else 0


if __name__ == "__main__":
    sys.exit(main())
