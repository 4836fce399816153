"""Checks of programs, none of which is run: interpreters, and what compilers and shells say of their syntax.

Only Perl does what a program has in BEGIN, and in modules that it uses, before it says anything of its syntax.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

_SHELLS = ("sh", "bash", "dash", "ksh", "zsh")
_SAID = re.compile(r"(?:line )?(\d+): (.*)")
_GUARDS = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}
COMPILE = """
import sys, warnings
warnings.simplefilter("ignore")
try:
    compile(open(sys.argv[1], "rb").read(), sys.argv[1], "exec")
except SyntaxError as error:
    print("%s: %s" % (error.lineno, error.msg))
"""


def interpreters(files):
    """Yield what is wrong with the interpreters of programs."""
    for file in files:
        if not file.is_executable or not file.interpreter or file.found_interpreter:
            continue
        line = " ".join(file.shebang)
        if line.endswith("\r"):
            yield f"{file.path}:1: ends with a carriage return, which is taken for a part of {line.strip()!r}"
        elif "/" in file.interpreter:
            yield f"{file.path}:1: interpreter {file.interpreter} does not exist"
        else:
            yield f"{file.path}:1: no {file.interpreter} on PATH (#!{line})"


def shells(files):
    """Yield the syntax errors of shell scripts."""
    for file in files:
        shell = Path(file.interpreter).name
        if shell not in _SHELLS or is_polyglot(file):
            if file.shebang or not file.name.endswith((".sh", ".bash")):
                continue
            shell = "bash"  # it is for being sourced
        program = file.found_interpreter or ("" if file.shebang else "/bin/bash")
        if not program or b"\0" in file.content():  # a script that carries a binary
            continue
        yield from lost_sources(file)
        said = _run([program, "-n", file.path])
        # What a script allows itself by shopt is not known to one that only reads it.
        if said and "bash" in os.path.realpath(program):
            said = _run([program, "-O", "extglob", "-n", file.path])
        if said:
            match = _SAID.search(said.replace(file.path + ":", "", 1))
            yield f"{file.path}:{match.group(1)}: {match.group(2)}" if match else f"{file.path}: {said}"


def lost_sources(file):
    """Yield what a script certainly sources, first of all, and no package has brought."""
    for number, line in enumerate(file.content().decode("utf-8", "replace").splitlines(), 1):
        match = re.match(r"(?:\.|source) +[\"']?(/usr/[\w./-]+)[\"']?\s*(?:#.*)?$", line)
        if match and not Path(match.group(1)).exists():
            yield f"{file.path}:{number}: sources {match.group(1)}, which is not there"


def php(files):
    """Yield the syntax errors of PHP files."""
    for file in files:
        if file.name.endswith(".php"):
            said = _run(["php", "-n", "-l", "-d", "display_errors=stderr", file.path])
            match = re.search(r"(?:PHP )?(?:Parse|Fatal) error: +(.*) in .* on line (\d+)", said)
            if match:
                yield f"{file.path}:{match.group(2)}: {match.group(1)}"


def perl(files):
    """Yield the syntax errors of Perl programs and modules, and modules of theirs that are not here."""
    for file in files:
        is_perl = Path(file.interpreter).name == "perl" if file.shebang else file.name.endswith((".pl", ".pm"))
        program = file.found_interpreter or shutil.which("perl", path="/usr/bin")
        if not is_perl or not program:
            continue
        taint = [word for word in file.shebang if re.match(r"-\w*[tT]", word)]  # has to be said twice
        said = _run([program, *taint[:1], "-c", file.path])
        match = re.search(r"^(.*?) at (\S+) line (\d+)", said)
        if match and match.group(2) == file.path:
            yield f"{file.path}:{match.group(3)}: {match.group(1)}"
        elif said:
            yield f"{file.path}: {said}"


def is_polyglot(file):
    """True if a shell runs a file by its first line only to find a Python for it."""
    return file.name.endswith(".py") and Path(file.interpreter).name in _SHELLS


def pythons(files):
    """Return the Python files among files that this host has an interpreter for."""
    found = []
    for file in files:
        if file.shebang and not is_polyglot(file):
            is_python = Path(file.interpreter).name.startswith("python") and file.found_interpreter
        else:
            is_python = file.name.endswith(".py")
        if is_python:
            found.append(file)
    return found


def python_syntax(files):
    """Yield the syntax errors of Python files, as their own Python reads them."""
    for file in pythons(files):
        program = "" if is_polyglot(file) else file.found_interpreter
        if program and os.path.realpath(program) != os.path.realpath(sys.executable):
            command = [program, "-c", COMPILE, file.path]
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
            if done.stdout.strip():
                yield f"{file.path}:{done.stdout.decode('utf-8', 'replace').strip()}"
            continue
        try:
            parse(file)
        except SyntaxError as error:
            text = f": {error.text.strip()[:80]}" if error.text else ""
            yield f"{file.path}:{error.lineno}: {error.msg}{text}"
        except ValueError as error:  # NUL, which Python up to 3.11 says so of
            yield f"{file.path}:1: {error}"


def parse(file):
    """Return the syntax tree of a Python file; SyntaxError with the cause, also for what only compiling finds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = file.content()
        compile(content, file.path, "exec", dont_inherit=True)
        return ast.parse(content, file.path)


def imports(files):
    """Yield imports of modules that are neither in the candidate nor on this host.

    Looked at is what every import of the file does: not what is in a function, in an ``if``, or in a
    ``try`` that expects it.
    """
    own, paths = _own_modules(files), {file.path for file in files}
    for file in pythons(files):
        try:
            tree = parse(file)
        except (SyntaxError, ValueError):
            continue
        for line, module in imported(tree.body):
            top = module.split(".")[0]
            spec = find(top)
            if "." in module and top in own and (spec is None or spec.origin in paths):
                if not any(f"/{module.replace('.', '/')}" in path for path in own[top]):
                    yield f"{file.path}:{line}: No module named {module!r}"
            elif spec is None and top not in own:
                yield f"{file.path}:{line}: No module named {top!r}"


def _own_modules(files):
    """Return the paths of the candidate's modules, without suffixes, by each name they can be imported by."""
    own = {}
    for file in files:
        if file.name.endswith((".py", ".so")):
            path = str(Path(file.path).parent / file.name.split(".")[0])
            for part in path.split("/")[1:]:
                own.setdefault(part, set()).add(path)
    return own


def find(name):
    """Return how a module of this name is found on the host, without importing it; None if it is not.

    Whoever finds modules here is asked: setuptools, for one, brings distutils to a Python that no longer has it.
    """
    path, here = list(sys.path), str(Path(__file__).resolve().parent)
    sys.path[:] = [folder for folder in path if os.path.realpath(folder) not in (here, os.environ.get("ITB_LIB"))]
    try:
        found = (finder.find_spec(name, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        return next((spec for spec in found if spec is not None), None)
    finally:
        sys.path[:] = path


def imported(body):
    """Yield line and module of each import that is always done."""
    for node in body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module != "__future__":
            yield node.lineno, node.module
        elif isinstance(node, ast.Try) and not any(_expects_none(handler.type) for handler in node.handlers):
            yield from imported(node.body)


def _expects_none(caught):
    """True if what an except names includes that a module is not there."""
    if caught is None:
        return True
    names = {item.id for item in ast.walk(caught) if isinstance(item, ast.Name)}
    return bool(names & _GUARDS)


def _run(command):
    """Return the first line of what a checker says of a file that it refuses, else nothing."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
            timeout=60, env={"PATH": "/usr/sbin:/usr/bin", "LC_ALL": "C"},
        )  # fmt: skip
    except OSError:
        return ""
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return (lines[0] if lines else f"exit status {done.returncode}") if done.returncode else ""
