"""The kinds of defects that any product can be given: each is a change of its spec file.

They are those that people report of real releases.  Where a file is chosen, it
is changed as it is installed into the build root, whatever its source is.
"""

from __future__ import annotations

import re
import shlex
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from itb.config.product import Product
from itb.defects.rpm_files import PackageContent, PackagedFile, all_files
from itb.defects.spec_text import SpecText

_UNIT = re.compile(r"(?:/usr)?/lib/systemd/system/([^/]+)\.service")
_OWN_FOLDER = re.compile(
    r"(?P<attr>%attr\((?P<mode>\d{3,4}|-),\s*(?P<user>(?!root\b)[\w-]+),\s*(?P<group>[\w-]+)\))\s+%dir\s+(?P<path>\S+)"
)
_REQUIREMENT = re.compile(
    r"^Requires:\s*(?!.*%)(?!(?:systemd|python3|bash|sh|/bin/sh)\s*$)([\w./+-]+)[^\n]*\n", re.MULTILINE
)  # none that every host has


@dataclass(frozen=True)
class Candidate:
    """What a defect is made of: the spec file, and what its packages have without any."""

    spec: SpecText
    packages: tuple[PackageContent, ...]
    services: tuple[str, ...]

    @property
    def files(self) -> Mapping[str, PackagedFile]:
        """Return the files of its packages by path."""
        return all_files(self.packages)

    def choose(self, accepts: Callable[[PackagedFile], bool]) -> PackagedFile | None:
        """Return the last file by path that is accepted, rather one of the package with the service."""
        unit = self.unit()
        files = [file for _, file in sorted(self.files.items(), reverse=True) if accepts(file)]
        own = [file for file in files if unit and file.package == unit.package]
        return next(iter(own or files), None)

    def unit(self) -> PackagedFile | None:
        """Return the unit of the last of the services that the packages bring."""
        units = {match[1]: file for path, file in self.files.items() if (match := _UNIT.fullmatch(path))}
        names = [name.removesuffix(".service") for name in self.services]
        return next((units[name] for name in reversed(names) if name in units), None)


def candidate(product: Product, spec: SpecText, packages: Iterable[PackageContent]) -> Candidate:
    """Return what defects are made of: a product's packages, and the services of its roles."""
    services = [service for role in product.roles.values() for service in role.services]
    return Candidate(spec, tuple(packages), tuple(services))


@dataclass(frozen=True)
class Made:
    """A defect that was made: the changed spec, what is wrong, and words of which a true cause has one.

    ``path`` is the file that is to differ then; empty where none does.
    """

    spec: SpecText
    title: str
    words: tuple[str, ...]
    path: str = ""


@dataclass(frozen=True)
class Kind:
    """A kind of defect, what a product needs to have it, and how it is made: None where the product lacks that."""

    name: str
    wants: str
    make: Callable[[Candidate], Made | None]


_Line = Callable[[Candidate, PackagedFile], str]  # makes a line of a script for a unit; empty if it has no sense


def _changed(given: Candidate, file: PackagedFile | None, title: str, command: str, *words: str) -> Made | None:
    """Return a defect that a command makes of an installed file."""
    if file is None:
        return None
    path = shlex.quote(file.path).replace("%", "%%")
    spec = given.spec.after_install(f"set -- %{{buildroot}}{path}", command.replace("%", "%%"))
    if spec is None:
        return None
    return Made(spec, f"{file.path} {title}", words or (file.path, file.name.removesuffix(".service")), file.path)


def _in_script(given: Candidate, script: str, title: str, line: _Line) -> Made | None:
    """Return a defect that is a line at the beginning of a package's script."""
    unit = given.unit()
    text = line(given, unit) if unit else ""
    if not unit or not text:
        return None
    spec = given.spec.in_script(script, unit.package, text.replace("%", "%%"))
    where = f"%{script} of {unit.package}"
    return Made(spec, f"{where} {title}: {text}", (where,)) if spec else None


def _userdel(given: Candidate, unit: PackagedFile) -> str:
    """Return a line that removes the user of a package's files."""
    users = sorted({file.user for file in given.files.values() if file.package == unit.package} - {"root"})
    return f"userdel --force {users[0]} >/dev/null 2>&1 || :" if users else ""


def _rm_data(given: Candidate, unit: PackagedFile) -> str:
    """Return a line that removes what is in a package's folder of data."""
    own = [file for path, file in sorted(given.files.items()) if file.package == unit.package]
    folders = [file.path for file in own if file.path.startswith("/var/lib/") and stat.S_ISDIR(file.mode)]
    return f"rm -rf {shlex.quote(folders[0])}/*" if folders else ""


def _all_config_replaced(given: Candidate) -> Made | None:
    spec, file = given.spec.replaced(r"%config\(noreplace\)", "%config"), given.choose(lambda item: item.is_config)
    if spec is None or file is None:
        return None
    return Made(spec, "every %config(noreplace) is %config", ("noreplace",), file.path)


def _without_requirement(given: Candidate) -> Made | None:
    """Return a defect that lacks a line of those that count: what stands under a condition may not."""
    needs = {package.name: package.requires for package in given.packages}
    found = [
        (name, match) for match in _REQUIREMENT.finditer(given.spec.text)
        for name in [given.spec.package_at(match.start())] if match[1] in needs.get(name, ())
    ]  # fmt: skip
    if not found:
        return None
    unit = given.unit()
    own = [match for name, match in found if unit and name == unit.package]
    last = own[-1] if own else found[-1][1]
    spec = SpecText(given.spec.text[: last.start()] + given.spec.text[last.end() :])
    words = (last[1], "not found", "No module named", "No such file")
    return Made(spec, f"a line is gone: {last[0].strip()}", words)


def _folder(given: Candidate, title: str, attribute: str) -> Made | None:
    """Return a defect of the first folder that is a service's: another mode or owner."""
    match = _OWN_FOLDER.search(given.spec.text)
    if not match:
        return None
    user, end = match["user"], match["path"].rpartition("}")[2]  # behind a macro
    folder = given.choose(lambda file: file.user == user and file.path.endswith(end))
    if folder is None:
        return None
    new = attribute.format(**match.groupdict())
    spec = SpecText(given.spec.text[: match.start()] + new + given.spec.text[match.end("attr") :])
    return Made(spec, f"{folder.path}: {title}", (folder.path,), folder.path)


def _is_program(file: PackagedFile) -> bool:
    folders = ("/usr/bin/", "/usr/sbin/", "/usr/libexec/")
    return file.is_python and bool(file.mode & 0o111) and file.path.startswith(folders)


def _is_module(file: PackagedFile) -> bool:
    return file.is_python and file.name.endswith(".py") and file.name != "__init__.py" and not file.is_doc


def _is_data(file: PackagedFile) -> bool:
    is_code = file.is_python or file.is_shell or file.name.endswith((".pyc", ".service"))
    return file.is_regular and not (is_code or file.is_config or file.is_doc) and bool(file.digest)


def _is_for_logrotate(file: PackagedFile) -> bool:
    return file.is_regular and file.path.startswith("/etc/logrotate.d/")


def _is_config(file: PackagedFile) -> bool:
    return file.is_regular and file.is_config and not _is_for_logrotate(file)


def _in_files() -> Iterator[Kind]:
    """Yield the kinds that are in a file: its command gets the path in the build root as $1."""
    program, module, script = "a program in Python", "a module for Python", "a shell script"

    def kind(name: str, wants: str, accepts: Callable[[PackagedFile], bool], title: str, command: str) -> Kind:
        return Kind(name, wants, lambda given: _changed(given, given.choose(accepts), title, command))

    yield kind("program-with-syntax-error", program, _is_program,
               "is no Python any more", "echo 'def broken(:' >>\"$1\"")  # fmt: skip
    yield kind("module-wants-another", module, _is_module,
               "imports a module that nobody has", "echo 'import itb_not_there' >>\"$1\"")  # fmt: skip
    yield kind("shell-with-syntax-error", script, lambda file: file.is_shell and not file.is_doc,
               "is no shell script any more", "sed -i '1a if then' \"$1\"")  # fmt: skip
    yield kind("file-is-empty", "a file of data", _is_data, "is empty", ': >"$1"')
    yield kind("file-is-unreadable", module, _is_module, "is readable by root only", 'chmod 0600 "$1"')
    yield kind("logrotate-typing-error", "a file for logrotate", _is_for_logrotate,
               "has a word that logrotate does not know", "sed -i 's/{/{ rotatee 4/' \"$1\"")  # fmt: skip
    yield kind("config-with-conflict-marker", "a configuration file", _is_config,
               "has a marker of a merge", "echo '>>>>>>> branch' >>\"$1\"")  # fmt: skip


def _in_units() -> Iterator[Kind]:
    """Yield the kinds that are in a service's unit; without words of its own, a true cause names the service."""

    def kind(name: str, title: str, command: str, *words: str) -> Kind:
        change = f"sed -i '{command}' \"$1\""
        return Kind(name, "a service", lambda given: _changed(given, given.unit(), title, change, *words))

    yield kind("unit-of-no-user", "has a user that nobody makes",
               r"/^User=/d; s/^.Service.$/&\nUser=itb-nobody/", "itb-nobody", "User= does not exist")  # fmt: skip
    yield kind("unit-of-no-program", "starts a program that is not there",
               "s|^ExecStart=.*|ExecStart=/usr/sbin/itb-not-there|", "itb-not-there", "203/EXEC")  # fmt: skip
    yield kind("service-ends", "ends after half a minute",
               r"/^Restart=/d; s/^.Service.$/&\nRestart=no\nRuntimeMaxSec=30/")  # fmt: skip
    yield kind("service-short-of-descriptors", "may open eight files",
               r"s/^.Service.$/&\nLimitNOFILE=8/", "Too many open files", "Errno 24")  # fmt: skip


def _in_scripts() -> Iterator[Kind]:
    """Yield the kinds that are in a script of the package that brings a service."""
    user = "a package with a service and a user of its own"
    data = "a package with a service and a folder in /var/lib"
    quiet = ">/dev/null 2>&1 || :"

    def kind(name: str, wants: str, script: str, title: str, line: _Line) -> Kind:
        return Kind(name, wants, lambda given: _in_script(given, script, title, line))

    yield kind("post-fails", "a service", "post", "ends with status 1", lambda *_: "exit 1")
    yield kind("upgrade-stops-a-service", "a service", "post", "stops the service in an upgrade",
               lambda _, unit: f'if [ "$1" -gt 1 ]; then systemctl stop {unit.name}; fi')  # fmt: skip
    yield kind("next-upgrade-disables-a-service", "a service", "preun", "disables the service in an upgrade, too",
               lambda _, unit: f"systemctl disable --now {unit.name} {quiet}")  # fmt: skip
    yield kind("next-upgrade-removes-a-user", user, "postun", "removes the user in an upgrade, too", _userdel)
    yield kind("next-upgrade-loses-data", data, "postun", "removes the data in an upgrade, too", _rm_data)


def _in_lines() -> Iterator[Kind]:
    """Yield the kinds that are in other lines of the spec file."""
    folder = "a folder with %attr and %dir that is not root's"
    yield Kind("config-is-replaced", "a file with %config(noreplace)", _all_config_replaced)
    yield Kind("requirement-is-gone", "a line Requires without macros", _without_requirement)
    yield Kind("data-of-root", folder, lambda given: _folder(given, "belongs to root", "%attr({mode},root,root)"))
    title, writable = "everybody may write there", "%attr(0777,{user},{group})"
    yield Kind("data-is-world-writable", folder, lambda given: _folder(given, title, writable))


KINDS = (*_in_files(), *_in_units(), *_in_scripts(), *_in_lines())
