"""Checks that modules have the names which Python files take from them: the candidate's, and those of this Python.

The candidate's modules are read and not imported.  Left out is what may be meant otherwise: a module that makes
names as it runs, and whatever is asked for in a ``try`` or behind a look at the version or the platform.
"""

import ast
import importlib.util
import os
import re
import sys
import sysconfig
from pathlib import Path

import programs

_LIBRARY = tuple({sysconfig.get_path("stdlib") + "/", sysconfig.get_path("platstdlib") + "/"})
# What a condition asks for that tells one Python, or one system, from another.
_ASKS = {"hasattr", "getattr", "version_info", "hexversion", "version", "platform", "name"}
_EXPECTS = {"ImportError", "ModuleNotFoundError", "AttributeError", "Exception", "BaseException"}
# Names that a module has on another system, or in another interpreter, than this one.
_ELSEWHERE = re.compile(
    r"win|pypy|^O_BINARY|startup|startfile|console|process_group|proactor|^CTRL_|kqueue|epoll", re.IGNORECASE
)
_SUFFIXES = (".py", "/__init__.py")
_MAKES = {"globals", "vars", "exec", "__getattr__"}


def check(files):
    """Yield names that are taken from modules which do not have them."""
    own = {file.path: file for file in files}
    known = {}  # names of modules, as they are asked for
    for file in programs.pythons(files):
        try:
            tree = programs.parse(file)
        except (SyntaxError, ValueError):
            continue
        is_this = not file.shebang or os.path.realpath(file.found_interpreter) == os.path.realpath(sys.executable)
        for line, module, level, name in wanted(tree):
            paths = _own_paths(own, file, module, level)
            if paths:
                is_there = any(_has(own, known, path, name) for path in paths)
            elif level or not is_this:
                continue
            else:
                is_there = _library_has(module, name)
            if not is_there:
                yield f"{file.path}:{line}: cannot import name {name!r} from {'.' * level + module!r}"
        if is_this:
            for line, name in distributions(tree):
                if not _is_installed(name):
                    yield f"{file.path}:{line}: no distribution {name!r} is installed, whose metadata it asks for"
            for line, module, name in used(tree):
                if not (_library_has(module, name) or _ELSEWHERE.search(name)):
                    yield f"{file.path}:{line}: module {module!r} has no attribute {name!r}"


def wanted(tree):
    """Yield line, module, its leading dots and name of each ``from`` that a file certainly does."""
    for node, guarded in _walk(tree, False):
        if isinstance(node, ast.ImportFrom) and not guarded and node.module != "__future__":
            for alias in node.names:
                if alias.name != "*":
                    yield node.lineno, node.module or "", node.level, alias.name


def used(tree):
    """Yield line, module and name of each use of ``module.name``, of modules that nothing else is called like."""
    modules, bound = {}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname or "." not in alias.name:
                    modules.setdefault(alias.asname or alias.name, set()).add(alias.name)
                else:
                    bound.add(alias.name.split(".")[0])  # import a.b is a name a, too, with more in it
        elif isinstance(node, ast.ImportFrom):
            bound.update(alias.asname or alias.name for alias in node.names)
        else:
            bound.update(_rebound(node))
    for node, guarded in _walk(tree, False):
        if not guarded and isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            names = modules.get(node.value.id, ())
            if len(names) == 1 and node.value.id not in bound:
                yield node.lineno, next(iter(names)), node.attr


def distributions(tree):
    """Yield line and name of each distribution whose metadata a file certainly asks for, as scripts of pip do."""
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    if not modules & {"importlib.metadata", "importlib_metadata", "pkg_resources"}:
        return
    for node, guarded in _walk(tree, False):
        if guarded or not isinstance(node, ast.Call) or not node.args:
            continue
        called = getattr(node.func, "attr", getattr(node.func, "id", ""))
        name = getattr(node.args[0], "value", getattr(node.args[0], "s", None))  # s: Python 3.6
        if called in ("distribution", "get_distribution", "load_entry_point") and isinstance(name, str):
            yield node.lineno, re.split(r"[^\w.-]", name)[0]


def _is_installed(name):
    if importlib.util.find_spec("importlib.metadata") is None:  # Python 3.6
        return True
    metadata = importlib.import_module("importlib.metadata")
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _rebound(node):
    """Return names that a node gives to something else, or of modules whose names it asks for or sets."""
    if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef, ast.ExceptHandler)):
        return [node.name or ""]
    if isinstance(node, ast.arg):
        return [node.arg]
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        return [node.id]
    asked = [node.value] if isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load) else []
    if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("hasattr", "setattr"):
        asked = node.args[:1]
    return [item.id for item in asked if isinstance(item, ast.Name)]


def _walk(node, guarded):
    """Yield each node, and whether it is where something else may be meant to happen."""
    for child in ast.iter_child_nodes(node):
        inner = guarded or _may_do_without(child)
        yield child, inner
        yield from _walk(child, inner)


def _may_do_without(node):
    """Return whether what is in a statement or an expression is done only where it can be."""
    if isinstance(node, ast.Try):
        return any(handler.type is None or _words(handler.type) & _EXPECTS for handler in node.handlers)
    if isinstance(node, ast.With):
        return any("suppress" in _words(item.context_expr) for item in node.items)
    if isinstance(node, (ast.If, ast.IfExp)):
        return _asks(node.test)
    return isinstance(node, ast.BoolOp) and _asks(node)


def _asks(test):
    """Return whether a condition tells one Python, or one system, from another; a constant may."""
    words = _words(test)
    return bool(words & _ASKS) or any(word.isupper() for word in words)


def _words(tree):
    """Return the names and attributes that an expression has."""
    return {getattr(item, "id", "") or getattr(item, "attr", "") for item in ast.walk(tree)}


def _own_paths(own, file, module, level):
    """Return the candidate's files that a module of this name can be; none if it is somebody else's."""
    parts = module.split(".") if module else []
    if level:
        folder = Path(file.path).parents[level - 1]
        found = [str(folder.joinpath(*parts))]
    else:
        spec = programs.find(parts[0])
        if spec is not None and spec.origin not in own:
            return []
        end = "/" + "/".join(parts)
        found = {path[: -len(suffix)] for path in own for suffix in _SUFFIXES if path.endswith(end + suffix)}
    return [path + suffix for path in sorted(found) for suffix in _SUFFIXES if path + suffix in own]


def _has(own, known, path, name):
    """Return whether one of the candidate's modules has a name, or may have it."""
    if path.endswith("/__init__.py"):
        folder = path[: -len("__init__.py")] + name
        if any(other.startswith((folder + ".", folder + "/")) for other in own):
            return True
    if path not in known:
        try:
            known[path] = defined(programs.parse(own[path]))
        except (SyntaxError, ValueError):  # another check says so
            known[path] = None
    names = known[path]
    return names is None or name in names or name.startswith("__")


def defined(tree):
    """Return the names that a module has at its top; None if that is only known when it runs."""
    names, queue = set(), list(tree.body)
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names.update(node.names)
        if (isinstance(node, ast.Name) and node.id in _MAKES) or getattr(node, "name", "") in _MAKES:
            return None
        if isinstance(node, ast.Attribute) and node.attr in ("modules", "meta_path", "__path__"):
            return None
    while queue:
        node = queue.pop()
        if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)):
            names.add(node.name)
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update(alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            names.add(node.id)
        else:
            names.update(_bound_by(node))
        queue += list(ast.iter_child_nodes(node))
    return None if "*" in names else names


def _bound_by(node):
    """Return names that statements bind without a node of their own: of except and match."""
    found = (getattr(node, "name", None), getattr(node, "rest", None))
    return [name for name in found if isinstance(name, str)]


def _library_has(module, name):
    """Return whether a module of Python's own has a name; true of other modules, which are not imported here."""
    spec = programs.find(module.split(".")[0])
    origin = str(spec.origin) if spec else ""
    is_library = origin in ("built-in", "frozen") or (
        origin.startswith(_LIBRARY) and not re.search(r"/(site|dist)-packages/", origin)
    )
    if not is_library or module.split(".")[0] in ("antigravity", "this", "idlelib", "turtle", "__main__"):
        return True
    try:
        found = importlib.import_module(module)
        return hasattr(found, name) or importlib.util.find_spec(f"{module}.{name}") is not None
    except ModuleNotFoundError as error:  # that of the module itself is another's finding
        return error.name != f"{module}.{name}"
    except Exception:  # noqa: BLE001  one that does not work here says nothing
        return True
