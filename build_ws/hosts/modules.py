"""Modules of Python and Perl: which file is found by a name that another one has, too.

Part of ``outside.py``: it runs where nothing of the host is executed.  Of one name in one folder a package comes
before an extension, and that before a file of Python; between folders their order decides, and the folder of a
program that is run comes first of all.
"""

import re

_PROGRAMS = re.compile(r"/usr/(?:s?bin|libexec)/(?P<rest>.+)", re.DOTALL)
_PYTHON = re.compile(
    r"/usr/(?:local/)?lib(?:64)?/python(?P<version>3(?:\.\d+)?)/"
    r"(?P<part>lib-dynload/|(?:site|dist)-packages/)?(?P<rest>.+)",
    re.DOTALL,
)
_PERL = re.compile(
    r"(?:/usr(?:/local)?/(?:share|lib(?:64)?(?:/[^/]+-linux-gnu)?)|/etc)/perl(?:5|-base)?/"
    r"(?:5[.\d]*/)?(?:vendor_perl/)?(?P<rest>.+)\.(?:pmc?|p[lh]|so)",
    re.DOTALL,
)
_FILE = re.compile(
    r"(?P<folders>(?:[^/]+/)*?)(?:__pycache__/)?(?P<name>[^/.]+)(?:\.(?:cpython-[^/.]+|abi3))?(?:\.opt-\d)?\.(?:pyc?|so)"
)
_RANKS = {None: 0, "lib-dynload/": 1}  # packages that are installed come later
_ANY = "3"  # the version in folders that every Python 3 has


class Modules:
    """The modules that files of the platform are."""

    def __init__(self, paths):
        self._known = {}
        for path in paths:
            if "/python3" in path or "/perl" in path:
                self._add(path)

    def rival(self, path):
        """Return the file of the platform in whose place this one is found by its name; empty if there is none."""
        version, rank, name = _module(path)
        for other, other_rank, rival in self._known.get(name, ()):
            is_same = version == other or (_ANY in (version, other) and "perl" not in (version, other))
            if is_same and rank <= other_rank:
                return rival
        return ""

    def _add(self, path):
        version, rank, name = _module(path)
        while name:  # whoever imports one runs the packages that it is in, too
            known = self._known.setdefault(name, [])
            if any(other[:2] == (version, rank) for other in known):
                break
            known.append((version, rank, path))
            name = "" if version == "perl" else name.rpartition("/")[0]


def _module(path):
    """Return the version of Python (or perl), the rank of the folder and the name of the module that a file is."""
    place = _PERL.fullmatch(path)
    if place:
        return "perl", 0, place["rest"]
    place = _PYTHON.fullmatch(path)
    version, rank = (place["version"], _RANKS.get(place["part"], 2)) if place else (_ANY, -1)
    place = place or _PROGRAMS.fullmatch(path)
    file = _FILE.fullmatch(place["rest"]) if place else None
    if not file:
        return "", 0, ""
    is_package = file["name"] == "__init__"
    return version, rank, file["folders"].rstrip("/") if is_package else file["folders"] + file["name"]
