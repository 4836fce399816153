#!/usr/bin/python3
"""Does one operation of dnf on a host whose services run, and tells what became of them; TAP.

ITB_OPERATION says which: upgrade, reinstall (what the next upgrade will do with the candidate's own scripts: rpm
runs them as in an upgrade to the next version), downgrade, remove, install.  What ran before runs after it, before
anything is restarted; what was enabled is, and what was not is not; users, groups and data are still there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import dnf_log
import host_state
import package_scripts
import rpm

WORK = Path("/var/lib/itb/upgrade")
LOG = Path("/var/log/itb-upgrade.log")
CANDIDATE, PREVIOUS = os.environ["ITB_CANDIDATE_REPO"], os.environ["ITB_PREVIOUS_REPO"]
FROM_PREVIOUS = ("--disablerepo=" + CANDIDATE, "--enablerepo=" + PREVIOUS)
_TITLES = {
    "upgrade": "the upgrade",
    "reinstall": "the next upgrade (tried by a reinstallation)",
    "downgrade": "the downgrade to the version before",
    "remove": "the removal",
    "install": "the installation after a removal",
}


class Results:
    """Prints results one by one; what was found before, or follows from it, is said to and not found again."""

    def __init__(self):
        self._known = WORK / "findings.json"
        self.known = json.loads(self._known.read_text()) if self._known.exists() else {}
        self.number = 0
        self.cause = ""  # of this operation: what else is wrong follows from it

    def add(self, name, why="", *, key="", follows=False, evidence=""):
        """Print a result: good if there is no reason; skipped if the same was found before."""
        self.number += 1
        key = key or why
        if not why:
            print("ok", self.number, "-", name)
        elif follows and self.cause:
            print("ok", self.number, "-", name, "# SKIP follows from what failed before it:", self.cause)
            self.known[key] = why
        elif key in self.known:
            print("ok", self.number, "-", name, "# SKIP as was found before:", self.known[key])
        else:
            print("not ok", self.number, "-", name)
            print("#", why)
            self.known[key] = why
        for line in evidence.splitlines():
            print("#  ", line)

    def skip(self, name, reason):
        """Print a result that is not tried."""
        self.number += 1
        print("ok", self.number, "-", name, "# SKIP", reason)

    def close(self):
        """Print the plan, keep what was found."""
        print(f"1..{self.number}")
        self._known.write_text(json.dumps(self.known))


def dnf(*arguments):
    """Run dnf; its output is in the log; return its exit status."""
    command = ["dnf", "--assumeyes", "--setopt=install_weak_deps=False", "--setopt=keepcache=True", *arguments]
    with LOG.open("wb") as log:
        return subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False
        ).returncode


def lines(name):
    """Return the lines of a file of this scenario's."""
    file = WORK / name
    return file.read_text().split() if file.exists() else []


def offered(repository):
    """Return {name: version and release} of a repository, which is asked once."""
    file = WORK / (repository + ".offered")
    if not file.exists():
        query = ["repoquery", "--latest-limit=1", "--queryformat", "%{name} %{evr}\n"]
        file.write_text(host_state.output("dnf", "--quiet", "--assumeyes", "--repo=" + repository, *query))
    return dict(line.split() for line in file.read_text().splitlines() if len(line.split()) == 2)


def installed(names):
    """Return those of the packages that are installed: {name: version and release}."""
    listed = host_state.output("rpm", "--query", "--queryformat", "%{NAME} %{EVR}\n", *names) if names else ""
    return dict(line.split() for line in listed.splitlines() if len(line.split()) == 2)


def candidates(here):
    """Return those of the installed packages that are the candidate's."""
    has = offered(CANDIDATE)
    return [name for name, version in installed(here).items() if has.get(name) == version]


def command_of(operation, here):
    """Return the arguments of dnf for an operation."""
    if operation == "upgrade":
        return ["--refresh", "upgrade", *here]
    if operation == "downgrade":
        return [*FROM_PREVIOUS, "--allowerasing", "downgrade", *here]
    if operation == "install":
        return ["install", *asked_for(CANDIDATE)]
    if operation == "reinstall":
        return ["reinstall", *candidates(here)]
    if operation == "remove":
        return ["--setopt=clean_requirements_on_remove=False", "remove", *here]
    return [operation, *here]


def report_dnf(results, operation, status, text):
    """Report how dnf ended, and what the packages' own scripts did."""
    title = "dnf " + operation
    failed = dnf_log.scriptlets(text)
    earlier = offered(PREVIOUS)
    # The version before is no candidate: what its scripts do wrong as it goes, nobody can mend any more.
    nevrs = [f"{name}-{version}" for name, version in earlier.items()]
    own = [item for item in failed if not item[1].startswith(tuple(nevrs))]
    of_before = [dnf_log.describe(item) for item in failed if item not in own]
    if own:
        results.cause = dnf_log.describe(own[0])
        results.add("the packages' scripts succeed", "\n# ".join(map(dnf_log.describe, own)), key=results.cause)
    elif of_before:
        results.skip("the packages' scripts succeed", "the version before, not the candidate: " + of_before[0])
    else:
        results.add("the packages' scripts succeed")
    refused = dnf_log.refused(text)
    why = (refused or f"dnf ended with status {status}") if status or "Skipping packages" in text else ""
    if why and operation == "downgrade" and not own:
        results.skip(title, "dnf refuses: " + why)
    else:
        results.add(title, why, follows=bool(own), evidence="\n".join(text.splitlines()[-40:]))
        results.cause = results.cause or why
    (WORK / "cause").write_text(results.cause)
    return not status


def parts(version):
    """Return Epoch, Version and Release of a package."""
    epoch, _, rest = version.rpartition(":")
    return (epoch or "0", *rest.partition("-")[::2])


def why_not_candidates(name, version, has):
    """Return why an installed package is not the candidate's, in one line."""
    if name not in has:
        return f"the candidate has no {name}, and none of its packages obsoletes it: still {version}"
    offer = has[name]
    order = rpm.labelCompare(parts(offer), parts(version))
    if order == 0:
        return f"the candidate's has the version and release of the one before: {version}"
    if order > 0:
        return f"still {version}, although the candidate's {offer} is higher: {why_refused()}"
    told = f"the candidate's {offer} is lower than the installed {version}: "
    (epoch, number, release), (epoch_here, number_here, release_here) = parts(offer), parts(version)
    if epoch != epoch_here:
        kind = "no Epoch" if epoch == "0" else "Epoch " + epoch
        return f"{told}it has {kind}, the installed has {epoch_here}"
    if number != number_here:
        return f"{told}version {number} is below {number_here}"
    return f"{told}release {release} is below {release_here}"


def report_origin(results):
    """Report which packages are not the candidate's after an upgrade, and why; one that is gone was replaced."""
    has, here = offered(CANDIDATE), installed(lines("installed"))
    for name in lines("installed"):
        version = here.get(name)
        why = "" if version in (None, has.get(name)) else why_not_candidates(name, version, has)
        # That it has no successor, or a lower one, is no script's fault.
        results.add(name + " is the candidate's", why, follows=why.startswith("still "))


def report_state(results, before, units, ran, operation):
    """Report what became of the host, before anything is restarted."""
    host_state.wait_settled(before, units)
    change = host_state.Change(before, host_state.snapshot(units, list(before["data"])), ran, _TITLES[operation])
    # Who has lost its user, or what it works with, does not run: that follows, and comes after.
    for name, found in (
        ("users and groups are as before", host_state.account_findings(change)),
        ("the site's data are as before", host_state.data_findings(change)),
    ):
        if found and not is_candidates(found[0], operation):
            results.skip(name, found[0])
            continue
        results.add(name, "\n# ".join(found), key=found[0].partition(" after ")[0] if found else "")
        results.cause = results.cause or (found[0] if found else "")
    for unit in units:
        why = host_state.unit_finding(unit, change)
        if why and not is_candidates(why, operation):
            results.skip(unit, why)
            continue
        named = why.rpartition(": ")[2]
        results.add(unit, why, key=f"{unit}: {named}", follows="%" not in why)


def is_candidates(finding, operation):
    """Return whether a finding may be the candidate's: in a downgrade scripts of the version before run, too."""
    own = [f" of {name}-{version}" for name, version in offered(CANDIDATE).items()]
    return operation != "downgrade" or any(text in finding for text in own)


def report_restart(results, units):
    """Report which services do not run after a restart with the new programs."""
    wrong = host_state.restart_findings(units)
    for unit in units:
        cause = wrong.get(unit)
        why = f"{unit} does not run after a restart" + (f": {cause}" if cause else "") if unit in wrong else ""
        results.add(unit + " runs after a restart", why, key=f"{unit}: {why.rpartition(': ')[2]}", follows=True)


def settle(units):
    """Enable and start what the site runs, whatever an earlier operation did to it."""
    enabled, running = set(lines("enabled")), set(lines("running"))
    for unit in units:
        if unit in quiet_units():
            host_state.systemctl("disable", "--now", unit)
            continue
        if unit in enabled:
            host_state.systemctl("enable", unit)
        if unit in running and not host_state.is_up(host_state.unit_state(unit)):
            host_state.systemctl("reset-failed", unit)
            host_state.systemctl("start", unit)


def quiet_units():
    """Return the units that this site has not enabled: with ITB_QUIET all of the product's, else none."""
    return product_units() if os.environ.get("ITB_QUIET") == "yes" else []


def restarted(operation):
    """Return the services that are restarted after an operation: those of others, like HTCondor, only once."""
    own, quiet = product_units(), quiet_units()
    is_first = operation == "upgrade" and not quiet
    if operation == "downgrade":
        return []  # the version before is no candidate
    return [unit for unit in lines("running") if unit not in quiet and (is_first or unit in own)]


def product_units():
    """Return the units that the product's packages bring and that can be enabled, by the names services have."""
    here = installed_names()
    found = host_state.output("rpm", "--query", "--list", *here) if here else ""
    names = []
    for line in found.splitlines():
        folder, _, unit = line.rpartition("/")
        if folder.endswith("lib/systemd/system") and "@." not in unit:
            names.append(unit[: -len(".service")] if unit.endswith(".service") else unit)
    return names


def installed_names():
    """Return the names of the product's packages that are installed."""
    return sorted(installed(sorted({**offered(PREVIOUS), **offered(CANDIDATE)})))


def ready():
    """Return whether the version before was installed; say so if it was not."""
    if (WORK / "installed").exists():
        return True
    print("the previous version is not installed")
    return False


def asked_for(repository):
    """Return the packages that the roles ask for, as far as a repository has them."""
    has = offered(repository)
    variables = [name for name in os.environ if name.startswith("ITB_INSTALL_") and name != "ITB_INSTALL_CE"]
    return sorted({name for variable in variables for name in os.environ[variable].split() if name in has})


def why_refused():
    """Return the line of dnf's output that says why it did not do what it was asked for."""
    return dnf_log.refused(LOG.read_text(errors="replace")) or "no reason is given"


def stop_gone(units):
    """Stop what still runs of a unit that came with the candidate and went with it, as a site would."""
    for unit in units:
        state = host_state.unit_state(unit)
        if host_state.is_up(state) and state["enabled"] in ("unknown", "not-found"):
            host_state.systemctl("stop", unit)


def main():
    """Do it and print what came of it."""
    operation = os.environ["ITB_OPERATION"]
    if not ready():
        return 77
    failed = WORK / "failed"
    if operation in ("reinstall", "downgrade") and failed.exists() and failed.read_text():
        print("the upgrade did not succeed:", failed.read_text())
        return 77
    results, here = Results(), installed_names()
    units = list(dict.fromkeys([*lines("enabled"), *product_units()]))
    settle(units)
    keeps = operation in ("upgrade", "reinstall", "downgrade")
    before = host_state.snapshot(units, host_state.put_markers(here) if keeps else [])
    again = candidates(here) if operation == "reinstall" else []
    recorded = package_scripts.record(again or here)
    status = dnf(*command_of(operation, here))
    left = package_scripts.record(again or installed_names())
    # Only a reinstallation that was done has run the scripts of the same packages.
    ran = [] if left == recorded and (status or not again) else package_scripts.run_in(recorded, left)
    (WORK / "ran").write_text("".join(f"{kind} of {package}: {line}\n" for kind, package, line, _ in ran))
    worked = report_dnf(results, operation, status, LOG.read_text(errors="replace"))
    if operation == "upgrade":
        report_origin(results)
        (WORK / "failed").write_text("" if worked else results.cause)
    if keeps and (worked or operation != "downgrade"):
        report_state(results, before, units, ran, operation)
    if operation == "downgrade":
        stop_gone(units)
    if operation == "install":
        settle(units)
    # With ITB_RESTART=no jobs run here, which the product's own restart shall not lose, but no other.
    if operation != "remove" and worked and os.environ.get("ITB_RESTART") != "no":
        report_restart(results, restarted(operation))
    results.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
