"""Configures an installed GlideinWMS Factory: edits the glideinWMS.xml the candidate ships.

Runs as root before HTCondor is started.  What is set here is what every
site has to set (its Compute Entrypoint), and shorter intervals.
"""

from host import main, make_private, run, variable, write
from xmlfile import XmlFile, children, update

CONFIG = "/etc/gwms-factory/glideinWMS.xml"
SITE = "itb"
CONDOR = """\
# Speed only: what a production factory does every minute or less, a test-bed does at once.
CONDOR_JOB_POLL_INTERVAL = 2
GRIDMANAGER_JOB_PROBE_INTERVAL = 2
# A CE that was restarted is noticed within seconds instead of minutes.
GRIDMANAGER_RESOURCE_PROBE_INTERVAL = 5
GRIDMANAGER_CONTACT_SCHEDD_DELAY = 1
C_GAHP_CONTACT_SCHEDD_DELAY = 1
CGAHP_SCHEDD_INTERACTION_TIME = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
"""


def edit(file, ce):
    """Make the shipped example entry the one of the CE (host:port); remove others, whose tarballs are not here."""
    update(file.root, loop_delay="10", advertise_delay="1")
    entry = file.only("entries/entry")
    update(
        entry,
        name="ITB_CE",
        enabled="True",
        gridtype="condor",
        gatekeeper="{} {}".format(ce.rpartition(":")[0], ce),
        auth_method="scitoken",
        trust_domain="grid",
        work_dir="AUTO",
        rsl=None,
    )
    # As many glideins as a machine of two processors can start at once; a Frontend asks
    # for more in every loop until the first has joined its pool.
    for limit in ("per_entry", "default_per_frontend"):
        update(file.one("config/max_jobs/" + limit, entry), glideins="3")
    attrs = file.one("attrs", entry)
    how = {"const": "True", "glidein_publish": "True", "job_publish": "True", "parameter": "True", "publish": "True"}
    file.set_attr(attrs, "GLIDEIN_Site", SITE, type="string", **how)
    return children(file.one("entries"), "entry")


def configure(also=None):
    """Edit, then have the candidate make its working directories of it; ``also`` edits more of the file."""
    file = XmlFile(CONFIG)
    edit(file, variable("ITB_CE_ADDRESS"))
    if also:
        also(file)
    file.write()
    write("/etc/condor/config.d/99-itb.conf", CONDOR)
    make_private("gfactory", "/var/lib/gwms-factory/.condor/tokens.d")
    run("gwms-factory", "upgrade")


if __name__ == "__main__":
    main(configure)
