"""Runs the tests of Python's unittest in this folder and prints each as a result of TAP.

usage: run_unittests.py [--package NAME] [PATTERN]

Each module that matches (test*.py) is run by a process of its own, for at most two minutes. With --package they
are modules of this package, whose parent is installed. One that lacks a module of ITB_OWN_TESTS_MAY_LACK is
skipped; xmlrunner may always be absent: nobody but unittest.main uses it. Exit status 1 if a test has failed.
"""

import argparse
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import types
import unittest
from pathlib import Path

_SECONDS = 120
_END = "# end"


def main():
    """Run all modules; or, as its child, one."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--package", default="")
    parser.add_argument("--module", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("pattern", nargs="?", default="test*.py")
    options = parser.parse_args()
    if options.module:
        return run_module(*options.module, package=options.package)
    lines, number, has_failed = [], 0, False
    for path in sorted(Path().rglob(options.pattern)):
        for line in output_of(".".join(path.with_suffix("").parts), options.package):
            verdict, dash, name = line.partition(" - ")
            if verdict in ("ok", "not ok") and dash:
                number += 1
                has_failed = has_failed or verdict == "not ok"
                line = f"{verdict} {number} - {name}"  # noqa: PLW2901
            lines.append(line)
    print("\n".join([f"1..{number}", *lines]))
    return 1 if has_failed else 0


def output_of(module, package):
    """Return the results of a module's tests; the last says why its process ended too early, if it did."""
    with tempfile.NamedTemporaryFile() as file:
        command = [sys.executable, __file__, "--package", package, "--module", module, file.name]
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        problem = ""
        try:
            said, _ = child.communicate(timeout=_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            said, _ = child.communicate()
            problem = f"no end within {_SECONDS} s"
        lines = Path(file.name).read_text(encoding="utf-8", errors="replace").splitlines()
    if lines[-1:] == [_END]:
        return lines[:-1]
    last = said.decode("utf-8", "replace").strip().splitlines()[-1:] or ["it printed nothing"]
    return [*lines, f"not ok - {module}", f"# {problem or f'exit status {child.returncode}'}: {last[0]}"]


def run_module(module, results, *, package):
    """Run the tests of one module and write their results to a file, as they end."""
    sys.path.insert(0, str(Path.cwd()))
    try:
        importlib.import_module("xmlrunner")
    except ImportError:
        sys.modules["xmlrunner"] = types.ModuleType("xmlrunner")
    if package:
        parent, _, name = package.rpartition(".")
        alias = Path(tempfile.mkdtemp()) / name
        alias.symlink_to(Path.cwd())
        importlib.import_module(parent).__path__.append(str(alias.parent))
        module = f"{package}.{module}"
    with Path(results).open("w", encoding="utf-8", errors="backslashreplace") as stream:
        try:
            suite = unittest.defaultTestLoader.loadTestsFromModule(importlib.import_module(module))
        except ImportError as error:
            write(stream, *not_imported(module, error))
        except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a module does as it is imported
            write(stream, "not ok", module, cause(error), traceback.format_exc())
        else:
            suite.run(Tap(stream))
        stream.write(_END + "\n")
    return 0


def not_imported(module, error):
    """Return the result of a module that cannot be imported: skipped if it lacks what it may lack."""
    if error.name and error.name.split(".")[0] in os.environ.get("ITB_OWN_TESTS_MAY_LACK", "").split():
        return "ok", f"{module} # SKIP it needs {error.name}, which is not here", "", ""
    return "not ok", module, cause(error), traceback.format_exc()


def cause(error):
    """Return an exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:400]


def write(stream, verdict, name, reason="", details=""):
    """Write one result, its cause and what led to it."""
    lines = [f"{verdict} - {name}", *([reason] if reason else []), *details.splitlines()[-40:]]
    stream.write("\n# ".join(lines) + "\n")
    stream.flush()


class Tap(unittest.TestResult):
    """Writes each result as its test has ended; one whose parts have failed fails once."""

    def __init__(self, stream):
        super().__init__()
        self.out = stream
        self.causes = {}

    def addSuccess(self, test):
        """A test has passed, unless a part of it has failed."""

    def addSkip(self, test, reason):
        """A test was skipped."""
        write(self.out, "ok", f"{test.id()} # SKIP {reason or 'without a reason'}")
        self.causes[test.id()] = None

    def addExpectedFailure(self, test, err):
        """A test has failed as it says itself that it would."""
        self.addSkip(test, f"expected to fail: {cause(err[1])}")

    def addUnexpectedSuccess(self, test):
        """A test has passed that says it would fail."""
        self.causes[test.id()] = ("passed, and says that it fails (expectedFailure)", "")

    def addSubTest(self, test, subtest, err):
        """A part of a test has ended."""
        if err is not None:
            self.fail(test, err, f"{subtest}: ")

    def addError(self, test, err):
        """A test, or what prepares a class or a module of them, has ended with an exception."""
        self.fail(test, err)
        if not isinstance(test, unittest.TestCase):
            self.stopTest(test)

    def addFailure(self, test, err):
        """An assertion of a test does not hold."""
        self.fail(test, err)

    def fail(self, test, err, before=""):
        """Remember the first cause of a failure."""
        self.causes.setdefault(test.id(), (before + cause(err[1]), "".join(traceback.format_exception(*err))))

    def stopTest(self, test):
        """Write the result of a test that has ended."""
        super().stopTest(test)
        if test.id() not in self.causes:
            write(self.out, "ok", test.id())
        elif self.causes[test.id()]:
            write(self.out, "not ok", test.id(), *self.causes[test.id()])


if __name__ == "__main__":
    sys.exit(main())
