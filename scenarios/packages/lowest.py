"""Checks that Python files are for the lowest Python that their packages allow, which may not be on this host."""

import __future__

import ast
import io
import re
import shutil
import subprocess
import sys
import tokenize

import names
import programs
import rpm

_VERSION = re.compile(r"(?:\d+:)?3\.(\d+)")
# Modules of the standard library that Python 3.6 has not, by the minor version that brought them.
_MODULES = {
    "contextvars": 7, "dataclasses": 7, "importlib.resources": 7, "importlib.metadata": 8, "graphlib": 9,
    "zoneinfo": 9, "tomllib": 11,
}  # fmt: skip
# Names that modules of the standard library have got since, by the minor version that brought them.
_NAMES = {
    ("asyncio", "run"): 7, ("asyncio", "to_thread"): 9, ("asyncio", "TaskGroup"): 11, ("asyncio", "timeout"): 11,
    ("contextlib", "nullcontext"): 7, ("contextlib", "asynccontextmanager"): 7, ("contextlib", "aclosing"): 10,
    ("contextlib", "chdir"): 11, ("dataclasses", "KW_ONLY"): 10, ("datetime", "UTC"): 11, ("enum", "StrEnum"): 11,
    ("functools", "cached_property"): 8, ("functools", "singledispatchmethod"): 8, ("functools", "cache"): 9,
    ("itertools", "pairwise"): 10, ("itertools", "batched"): 12, ("math", "prod"): 8, ("math", "dist"): 8,
    ("math", "isqrt"): 8, ("math", "lcm"): 9, ("os", "waitstatus_to_exitcode"): 9, ("shlex", "join"): 8,
    ("statistics", "fmean"): 8, ("time", "time_ns"): 7, ("time", "monotonic_ns"): 7, ("types", "NoneType"): 10,
    ("types", "UnionType"): 10, ("typing", "ForwardRef"): 7, ("typing", "Final"): 8, ("typing", "Literal"): 8,
    ("typing", "Protocol"): 8, ("typing", "TypedDict"): 8, ("typing", "Annotated"): 9, ("typing", "ParamSpec"): 10,
    ("typing", "TypeAlias"): 10, ("typing", "TypeGuard"): 10, ("typing", "Self"): 11, ("typing", "Never"): 11,
    ("typing", "NotRequired"): 11, ("typing", "assert_never"): 11, ("typing", "override"): 12,
}  # fmt: skip
_START, _END, _MIDDLE = (getattr(tokenize, f"FSTRING_{name}", -1) for name in ("START", "END", "MIDDLE"))


def check(found, packages):
    """Yield what is newer, in each Python file, than the lowest Python that its package allows.

    A package that says nothing of it is for what the least of the others allows.
    """
    allowed = {name: allows(header) for name, header in packages.items()}
    least = min(filter(None, allowed.values()), default=0)
    requires = {item[0] for header in packages.values() for item in requirements(header)}
    for file in programs.pythons(found):
        minor = allowed.get(file.package) or least
        problem = problem_of(file, minor, requires) if 0 < minor < sys.version_info[1] else ""
        if problem:
            yield f"{file.path}:{problem}, and its package allows Python 3.{minor}"


def requirements(header):
    """Return name, flags and version of what a package requires."""
    tags = (rpm.RPMTAG_REQUIRENAME, rpm.RPMTAG_REQUIREFLAGS, rpm.RPMTAG_REQUIREVERSION)
    names, flags, versions = (header[tag] for tag in tags)
    return [(text(name), flag, text(version)) for name, flag, version in zip(names, flags, versions)]  # noqa: B905  3.6


def text(value):
    """Return what is text to newer Pythons, and bytes to that of EL 8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def allows(header):
    """Return the minor version of the lowest Python that a package allows by python3 >= 3.X; 0 if it says none."""
    for name, flags, version in requirements(header):
        match = _VERSION.match(version or "")
        if name in ("python3", "python3-libs") and flags & rpm.RPMSENSE_GREATER and match:
            return int(match.group(1))
    return 0


def problem_of(file, minor, requires=()):
    """Return line and text of what a file has that Python 3.MINOR has not; empty if nothing."""
    try:
        tree = programs.parse(file)  # what this Python does not read is another check's
    except (SyntaxError, ValueError):
        return ""
    return syntax(file, minor) or newer_module(tree, minor, requires) or newer_name(tree, minor)


def syntax(file, minor):
    """Return line and text of what Python 3.MINOR does not read: as it says itself where it is here."""
    program = shutil.which(f"python3.{minor}", path="/usr/bin")
    if program:
        command = [program, "-c", programs.COMPILE, file.path]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
        return done.stdout.decode("utf-8", "replace").strip()
    content = file.content()
    try:
        tree = ast.parse(content, file.path, feature_version=(3, minor))
    except SyntaxError as error:
        return f"{error.lineno}: {error.msg}"
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            for alias in node.names:
                if getattr(__future__, alias.name).getOptionalRelease()[:2] > (3, minor):
                    return f"{node.lineno}: future feature {alias.name} is not defined"
    return nested(content) if minor < 12 else ""


def nested(content):
    """Return line and text of an f-string that is one from Python 3.12 on only; this Python may be older."""
    quotes = []
    try:
        for token in tokenize.tokenize(io.BytesIO(content).readline):
            quote = token.string.lstrip("rRbBuUfF")
            if token.type == _END:
                quotes.pop()
                continue
            if quotes and token.type not in (_MIDDLE, -1):
                inner = token.type in (_START, tokenize.STRING) and quote.startswith(quotes[-1])
                if inner or "\\" in token.string or token.type == tokenize.COMMENT:
                    return f"{token.start[0]}: f-strings with the same quotes, \\ or # inside are of Python 3.12"
            if token.type == _START:
                quotes.append(quote)
    except (tokenize.TokenError, SyntaxError):
        pass
    return ""


def newer_module(tree, minor, requires):
    """Return line and text of an import that is always done of a module that Python 3.MINOR has not."""
    for line, module in programs.imported(tree.body):
        names = {f"python3-{module}", f"python3dist({module})"}
        if _MODULES.get(module, 0) > minor and not names & set(requires):
            return f"{line}: module {module} is of Python 3.{_MODULES[module]}"
    return ""


def newer_name(tree, minor):
    """Return line and text of a name that is certainly asked for, and that its module has since a later Python."""
    asked = [(line, module, name) for line, module, level, name in names.wanted(tree) if not level]
    for line, module, name in sorted([*asked, *names.used(tree)]):
        if _NAMES.get((module, name), 0) > minor:
            return f"{line}: {module}.{name} is of Python 3.{_NAMES[module, name]}"
    return ""
