"""The packages' own scripts: what they do in an operation, and which line of them is to blame.

rpm gives a script the number of instances of its package that are left: 2 and 1 in an upgrade, 1 in a first
installation, 0 in a removal.  Lines behind a test of it that is not met are not run, and blamed for nothing.
"""

import re
import subprocess

_INSTALL = (("pretrans", "pretrans"), ("pre", "prein"), ("post", "postin"), ("posttrans", "posttrans"))
_ERASE = (("preun", "preun"), ("postun", "postun"))
_TRIGGERS = (("trigger", "triggerscripts"),)
_TEST = re.compile(r'"?\$\{?1\}?"?\s*(-eq|-ne|-gt|-ge|-lt|-le|==?|!=)\s*"?(\d+)"?')
_HOLDS = {
    "-eq": lambda a, b: a == b, "=": lambda a, b: a == b, "==": lambda a, b: a == b,
    "-ne": lambda a, b: a != b, "!=": lambda a, b: a != b,
    "-gt": lambda a, b: a > b, "-ge": lambda a, b: a >= b,
    "-lt": lambda a, b: a < b, "-le": lambda a, b: a <= b,
}  # fmt: skip
STOPS = r"\b(stop|disable|mask|kill|pkill|killall|preset|preset-all|remove-system-units|--del)\b"
ENABLES = r"\b(enable|reenable|preset|preset-all|unmask|--add)\b"
STARTS = r"\b(start|enable|restart|reenable|preset|unmask|--add)\b"
RESTARTS = r"(?<!or-)(?<!or-try-)restart"  # reload-or-restart may only reload
LOSES_USERS = r"\b(userdel|groupdel|deluser|delgroup)\b"
CHANGES_USERS = (  # their numbers: not what puts one into a group
    r"\b(userdel|groupdel|deluser|delgroup|useradd|groupadd|usermod|groupmod)\b(?!.*\s(--append|-a)\b)"
)
LOSES_DATA = r"\b(rm|mv|chown|chgrp|chmod|find|install|rsync|truncate)\b|(?<![0-9&])>"


def record(names):
    """Return the scripts of installed packages: {name: {"nevra": ..., script: its text}}."""
    kinds = [*_INSTALL, *_ERASE]
    tags = ["NAME", "NEVR", *(tag for _, tag in kinds)]
    form = "".join("%{" + tag + "}\1" for tag in tags) + "[%{TRIGGERSCRIPTS}\n]\2"
    query = ["rpm", "--query", "--queryformat", form, *names]
    output = subprocess.run(query, stdout=subprocess.PIPE, check=False).stdout if names else b""
    printed = output.decode("utf-8", "replace")
    found = {}
    for entry in printed.split("\2"):
        values = entry.split("\1")
        if len(values) > len(tags):
            recorded = {"nevra": values[1]}
            for number, (kind, _) in enumerate(kinds, 2):
                recorded[kind] = "" if values[number] == "(none)" else values[number]
            recorded["trigger"] = "" if values[-1].strip() == "(none)" else values[-1]
            found[values[0]] = recorded
    return found


def _holds(condition, number):
    """Return whether a condition's test of $1 is met, None if it has no such test or an alternative."""
    match = _TEST.search(condition)
    if not match or "||" in condition:
        return None
    return _HOLDS[match.group(1)](number, int(match.group(2)))


def statements(script, number):
    """Yield (statement, whether it is run for certain) of a script whose $1 is this number.

    Left out is what tests of $1 keep from being run; what other tests say is not known.
    """
    lines = re.sub(r"(?m)^\s*#.*$", "", script.replace("\\\n", " ")).replace(";;", "\n")
    conditions = []
    for raw in re.split(r"[;\n]", lines):
        line = re.sub(r"^\s*(then|else|do)\b", "", raw).strip()
        is_else = bool(re.match(r"\s*else\b", raw))
        if is_else and conditions:
            met = conditions[-1]
            conditions[-1] = None if met is None else not met
        if re.match(r"(if|elif)\b", line):
            met = _holds(line, number)
            if line.startswith("elif") and conditions:
                conditions.pop()
            conditions.append(met)
            continue
        if line == "fi":
            conditions = conditions[:-1]
        elif line and False not in conditions and _runs(line, number):
            if line.split()[-1:] == ["exit"] or re.search(r"\bexit\s+\d+$", line):
                if conditions or _TEST.search(line):
                    return
                continue
            yield line, None not in conditions


def _runs(line, number):
    """Return whether a statement with tests joined by && and || comes to its last command."""
    match = re.match(r"(.*?)(&&|\|\|)", line)
    if not match or not _TEST.search(match.group(1)):
        return True
    return bool(_holds(match.group(1), number)) is (match.group(2) == "&&")


def run_in(before, after):
    """Return (script's name, package, statement, whether it ran for certain) of all that an operation ran.

    ``before`` and ``after`` are what was recorded then; the same twice: all packages were installed once more.
    """
    again = before == after
    ran = []
    for name, recorded in after.items():
        if again or recorded != before.get(name):
            ran += _of(recorded, _INSTALL, 2 if name in before else 1)
            # Which packages they are for is not looked at: they are blamed only for what they name.
            ran += [(kind, nevra, line, False) for kind, nevra, line, _ in _of(recorded, _TRIGGERS, 1)]
    for name, recorded in before.items():
        if again or recorded != after.get(name):
            ran += _of(recorded, _ERASE, 1 if name in after else 0)
    return ran


def _of(scripts, kinds, number):
    for kind, _ in kinds:
        for statement, certain in statements(scripts.get(kind, ""), number):
            shown = re.sub(r"\s*(&?>\s*/dev/null|2>&1|\|\|\s*(:|true)$)", "", statement)
            yield "%" + kind, scripts["nevra"], " ".join(shown.split()), certain


def blame(ran, verbs, *words):
    """Return the statement that does such a thing to one of the words, in one line with its script; else empty.

    A folder is named by itself, or with what is in it as a whole: another that is in it has its own name.  A
    statement without any of the words is blamed if it names a variable in their place.
    """
    fitting = [item for item in ran if re.search(verbs, item[2])]
    for word in words:
        for kind, package, statement, _ in fitting:
            end = r"(?:/\*?)?(?![\w/*.-])" if word.startswith("/") else r"(?![\w-])"
            if re.search(rf"(?<![\w-]){re.escape(word)}{end}", statement):
                return f"{kind} of {package}: {statement}"
    for kind, package, statement, _ in fitting:
        if "$" in re.sub(r"\$\{?1\b", "", statement):
            return f"{kind} of {package}: {statement}"
    return ""
