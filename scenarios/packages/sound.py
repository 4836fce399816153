#!/usr/bin/python3
"""Every file that the packages bring is what it is taken for; TAP.

Nothing of the candidate is run, but what Perl runs before it compiles: compilers, shells and those who read
the files say what they think of them.
ITB_PACKAGES: names of the packages, or "all"; ITB_UNCHECKED_FILES: patterns of files to leave out, one a line.
"""

import os
import sys

sys.path.insert(0, os.environ["ITB_SCENARIO_DIR"])

import configuration
import files
import formats
import headers
import links
import lowest
import names
import programs
import system_files

CHECKS = (
    ("interpreters are there", programs.interpreters),
    ("Python compiles", programs.python_syntax),
    ("Python compiles with the lowest that packages allow", lowest.check),
    ("Python finds its modules", programs.imports),
    ("Python finds the names it takes from modules", names.check),
    ("shell scripts parse", programs.shells),
    ("PHP parses", programs.php),
    ("Perl compiles", programs.perl),
    ("units are valid", configuration.units),
    ("tmpfiles.d is valid", lambda found: configuration.systemd_tool(found, "tmpfiles.d", "systemd-tmpfiles")),
    ("sysusers.d is valid", lambda found: configuration.systemd_tool(found, "sysusers.d", "systemd-sysusers")),
    ("logrotate files are valid", configuration.logrotate),
    ("cron files are valid", configuration.cron),
    ("httpd files are valid", configuration.httpd),
    ("sudoers files are valid", system_files.sudoers),
    ("sysctl.d is valid", system_files.sysctl),
    ("limits.d is valid", system_files.limits),
    ("shells of a login go on", system_files.profile),
    ("links lead to something", links.check),
    ("XML parses", lambda found: formats.check("XML", found)),
    ("JSON parses", lambda found: formats.check("JSON", found)),
    ("YAML parses", lambda found: formats.check("YAML", found)),
)


def main():
    """Print one result a kind of file, with every finding."""
    packages = headers.installed(os.environ.get("ITB_PACKAGES", ""), os.environ.get("ITB_CANDIDATE_REPO", ""))
    if not packages:
        print("no package of the product is installed on", os.environ["ITB_ROLE"])
        return 77
    exceptions = os.environ.get("ITB_UNCHECKED_FILES", "").splitlines()
    found = headers.brought(packages, exceptions)
    print(f"1..{len(CHECKS)}")
    for number, (name, check) in enumerate(CHECKS, 1):
        findings = check(found, packages) if check in (lowest.check, links.check) else check(found)
        files.report(number, name, list(findings))
    return 0


sys.exit(main())
