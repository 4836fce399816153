"""Reasons out of logs; the samples are parts of real ones (GlideinWMS 3.11.2, rpm 4.20)."""

from __future__ import annotations

from pathlib import Path

import pytest

from itb.build import log as build_log
from itb.util import loglines

RELEASE = "/var/lib/itb/release/3_11_2/rpmbuild"
EXE_ERROR = f"""\
Error running 'rpmbuild -bb {RELEASE}/SPECS/glideinwms.spec --define "_topdir {RELEASE}"'
Stdout:[]
Stderr:[]
Exception Error: 1
Traceback (most recent call last):
  File "release.py", line 161, in <module>
    main(sys.argv)
    ~~~~^^^^^^^^^^
ReleaseManager.ReleaseManagerLib.ExeError: Error running 'rpmbuild -bb {RELEASE}/SPECS/glideinwms.spec'
Stdout:[]
Stderr:[]
Exception Error: 1
"""

SAMPLES = {
    "missing BuildRequires: python3-devel >= 99, javascriptrrd": """\
error: Failed build dependencies:
\tpython3-devel >= 99 is needed by glideinwms-3.11.2-1.deb13.noarch
\tjavascriptrrd is needed by glideinwms-3.11.2-1.deb13.noarch
"""
    + EXE_ERROR,
    "Installed (but unpackaged) file(s) found: /usr/share/doc/pocketwms/README.md, /usr/x y": """\
Checking for unpackaged file(s): /usr/lib/rpm/check-files /var/lib/itb/BUILDROOT
error: Installed (but unpackaged) file(s) found:
   /usr/share/doc/pocketwms/README.md
   /usr/x y

RPM build errors:
    Installed (but unpackaged) file(s) found:
   /usr/share/doc/pocketwms/README.md
   /usr/x y
RPMs 1_2_0_rc2: rpmbuild ended with status 1
""",
    "in %files but not installed: /usr/share/absent/one, /usr/share/absent/two": f"""\
Processing files: glideinwms-libs-3.11.2-1.noarch
error: File not found: {RELEASE}/BUILD/glideinwms-3.11.2-build/BUILDROOT/usr/share/absent/one
error: File not found: {RELEASE}/BUILDROOT/glideinwms-3.11.2-1.noarch/usr/share/absent/two

RPM build errors:
    File not found: {RELEASE}/BUILD/glideinwms-3.11.2-build/BUILDROOT/usr/share/absent/one
"""
    + EXE_ERROR,
    "SyntaxError: expected ':' (release.py line 33)": """\
  File "/var/lib/itb/source/p/release.py", line 33
    def rpm_release(rc, number)
                               ^
SyntaxError: expected ':'
""",
    "ReleaseManager stopped: SyntaxError: invalid syntax (lib.py line 9)": """\
Traceback (most recent call last):
  File "/a/release.py", line 3, in <module>
    import lib
  File "/a/lib.py", line 9
    def (x):
        ^
SyntaxError: invalid syntax
""",
    "%build of the spec failed: x.c:3:1: error: unknown type name 'foo'": """\
Executing(%prep): /bin/sh -e /var/tmp/rpm-tmp.a
patch.c:1:1: error: what %prep has survived
Executing(%build): /bin/sh -e /var/tmp/rpm-tmp.x
+ make
x.c:3:1: error: unknown type name 'foo'
    3 | foo bar;
x.c:9:1: error: another
make: *** [Makefile:3: all] Error 1
error: Bad exit status from /var/tmp/rpm-tmp.x (%build)
""",
    "%check of the spec failed: FAILED test_x.py::test_a - AssertionError: 1 != 2": """\
Executing(%check): /bin/sh -e /var/tmp/rpm-tmp.x
FAILED test_x.py::test_a - AssertionError: 1 != 2
FAILED test_x.py::test_b - KeyError
2 failed in 0.1s
error: Bad exit status from /var/tmp/rpm-tmp.x (%check)
""",
    "%install of the spec failed: install: cannot stat 'x'": """\
Executing(%install): /bin/sh -e /var/tmp/rpm-tmp.x
install: cannot stat 'x'
make[1]: *** [Makefile:3: install] Error 1
make: *** [Makefile:9: all] Error 2
error: Bad exit status from /var/tmp/rpm-tmp.x (%install)
""",
    "line 50 of the spec: Unknown tag: Licence: oops": (
        "error: line 50: Unknown tag: Licence:  oops\n\n\n" + EXE_ERROR
    ),
    f"Bad file: {RELEASE}/SOURCES/chksums.sh: No such file or directory": f"""\
error: No patch number 0
warning: Macro expanded in comment on line 831: %{{_sysconfdir}}/condor
error: Bad file: {RELEASE}/SOURCES/chksums.sh: No such file or directory

RPM build errors:
    No patch number 0
    Bad file: {RELEASE}/SOURCES/chksums.sh: No such file or directory
"""
    + EXE_ERROR,
    "%install of the spec failed: cp: cannot stat 'nothing-here': No such file or directory": f"""\
Executing(%install): /usr/bin/sh -e /tmp/rpm-tmp.Ni1Z5Y
+ umask 022
+ cd {RELEASE}/BUILD/glideinwms-3.11.2-build
+ cp nothing-here {RELEASE}/BUILDROOT/
cp: cannot stat 'nothing-here': No such file or directory
error: Bad exit status from /tmp/rpm-tmp.Ni1Z5Y (%install)

RPM build errors:
    Bad exit status from /tmp/rpm-tmp.Ni1Z5Y (%install)
"""
    + EXE_ERROR,
    "chksums.sh: /bin/sh: line 1: /src/chksums.sh: No such file or directory": """\
Error running 'cd /src/glideinwms; /src/chksums.sh 3_11_2 /src/etc/checksum "etc/checksum* CVS"'
Stdout:[]
Stderr:[b'/bin/sh: line 1: /src/chksums.sh: No such file or directory\\n']
Exception Error: 127
Traceback (most recent call last):
  File "release.py", line 161, in <module>
    main(sys.argv)
ReleaseManager.ReleaseManagerLib.ExeError: Error running 'cd /src/glideinwms; /src/chksums.sh'
""",
    "ReleaseManager stopped: AttributeError: 'TaskRPM' object has no attribute 'createRPMBuildDir'": """\
************* Executing GlideinwmsRPM *************
Traceback (most recent call last):
  File "release.py", line 161, in <module>
    main(sys.argv)
    ~~~~^^^^^^^^^^
  File "ReleaseManagerLib.py", line 443, in execute
    self.createRPMBuildDir()
    ^^^^^^^^^^^^^^^^^^^^^^
AttributeError: 'TaskRPM' object has no attribute 'createRPMBuildDir'
""",
    "ReleaseManager refuses its arguments: argument --rc: expected one argument": """\
usage: release.py [-h] --release-version <release version>
release.py: error: argument --rc: expected one argument
""",
    "ReleaseManager skipped the RPMs: it does not know the operating system of the build workspace "
    "('RPMs will not be build for this platform')": """\
RPMs will not be build for this platform
************* Executing GlideinwmsRPM *************
************* GlideinwmsRPM Status SKIPPED *************
TASK                    STATUS
GlideinwmsRPM           SKIPPED
___________________________________
""",
    "ReleaseManager skipped its task GlideinwmsRPM without a reason": """\
TASK                    STATUS
GlideinWMSTar           COMPLETE
GlideinwmsRPM           SKIPPED
___________________________________
""",
    "'mock' not found, skipping RPM build": "tarball /x.tgz\n'mock' not found, skipping RPM build\n\n",
    "it printed nothing": " \n\n",
}


@pytest.mark.parametrize("reason", list(SAMPLES))
def test_reason(reason: str) -> None:
    assert build_log.find_failure(SAMPLES[reason]).reason == reason


@pytest.mark.parametrize("reason", [reason for reason in SAMPLES if reason != "it printed nothing"])
def test_the_line_of_a_reason_is_where_it_was_printed_first(reason: str, tmp_path: Path) -> None:
    """Not where rpmbuild sums up its errors, indented and without a word before."""
    log = tmp_path / "log"
    log.write_text(SAMPLES[reason])
    number = loglines.number_of(log, build_log.find_failure(SAMPLES[reason]).line, first=True)
    assert number
    assert "RPM build errors:" not in SAMPLES[reason].splitlines()[:number]


def test_reason_is_one_line_whatever_the_log_holds() -> None:
    assert "\n" not in build_log.find_failure("error: a\x0bb\n").reason
    assert len(build_log.find_failure("x" * 100_000).reason) <= 300


def test_many_files_are_counted() -> None:
    log = "error: Installed (but unpackaged) file(s) found:\n" + "".join(f"   /x/{i}\n" for i in range(12))
    assert build_log.find_failure(log).reason.endswith("/x/4 and 7 more")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Executing(%install): /usr/bin/sh -e /tmp/rpm-tmp.Ni1Z5Y", "rpmbuild %install"),
        ("Processing files: glideinwms-libs-3.11.2-1.noarch", "packaging glideinwms-libs-3.11.2-1.noarch"),
        ("************* Executing GlideinWMSTar *************", "GlideinWMSTar"),
        ("Wrote: /x/RPMS/noarch/glideinwms-libs-3.11.2-1.noarch.rpm", "wrote glideinwms-libs-3.11.2-1.noarch.rpm"),
        ("+ umask 022", ""),
    ],
)
def test_progress(line: str, said: str) -> None:
    assert build_log.milestone(line) == said


def test_what_ran_at_the_time_limit() -> None:
    running = ["rpmbuild -bb x (for 3 s)", "sleep 9 (for 2 s)"]
    log = "x\nitb: time limit of 3 s reached\n" + "".join(f"itb: still running: {item}\n" for item in running)
    assert build_log.running_at_limit(log) == running
