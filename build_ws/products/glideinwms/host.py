"""What the configuration of both roles does on its host."""

import os
import pwd
import re
import subprocess
import sys

from xmlfile import ConfigError

ERROR = re.compile(r"^([A-Za-z_][\w.]*\.)?[A-Z]\w*(Error|Exception|Exit)\b.*|.*\b(ERROR|Error|FATAL)\b.*")

SYNTAX = re.compile(r'^ +File "([^"]+)", line (\d+)\n(?: .*\n)+(?=(?:Syntax|Indentation|Tab)Error)', re.MULTILINE)
ABSENT = re.compile(r": (No such file or directory|command not found|Permission denied)$")


def variable(name):
    """A variable itb gives to configuration scripts."""
    if not os.environ.get(name):
        raise ConfigError("{} is not set".format(name))
    return os.environ[name]


def write(path, text):
    """Write a file of the site's own."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o644)


def note(text):
    """Say something the report has to show although it is no failure."""
    print("note: {}".format(text), flush=True)


def make_private(user, path):
    """Make a folder, and those above it below the user's home, that nobody else may enter."""
    home = pwd.getpwnam(user)
    if os.path.isdir(path):
        return
    if os.path.dirname(path) != home.pw_dir:
        make_private(user, os.path.dirname(path))
    os.mkdir(path, 0o700)
    os.chown(path, home.pw_uid, home.pw_gid)


def run(*argv):
    """Run a command of the candidate's; ConfigError with the line of its output that names the cause."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    output = done.stdout.decode("utf-8", "replace")
    print(output, flush=True)
    if done.returncode != 0:
        raise ConfigError("{}: {}".format(" ".join(argv), cause(output) or "status {}".format(done.returncode)))


def cause(output):
    """The last line that names an error; else the first that misses a file or a command; else the last."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    named = [line for line in lines if ERROR.match(line)]
    place = SYNTAX.search(output)
    if place:
        return "{} ({} line {})".format(output[place.end() :].splitlines()[0], *place.groups())
    absent = [line for line in lines if ABSENT.search(line)]
    return (named[-1:] or absent[:1] or lines[-1:] or [""])[0]


def main(configure):
    """Run a role's configuration; its error is the last line of the output."""
    try:
        configure()
    except (ConfigError, OSError, KeyError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
