"""Configures an installed GlideinWMS Frontend: edits the frontend.xml the candidate ships.

Runs as root before HTCondor is started.  What is set here is what every
site has to set (its Factory, its credential), and shorter intervals.  How
credentials are selected is left as shipped: it differs between versions.
"""

import os
import pwd
import subprocess

from host import main, make_private, run, variable, write
from xmlfile import XmlFile, update

CONFIG = "/etc/gwms-frontend/frontend.xml"
SECURITY_NAME = "vofrontend_service"
CONDOR = """\
# Speed only: what a production pool does every minute, a test-bed does at once.
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
"""


def edit(file, factory, token):
    """Point the Frontend to a Factory and give it a SciToken; every host certificate of the run will do."""
    update(file.root, loop_delay="10", advertise_delay="1")
    update(file.one("match/factory"), query_expr="True")
    update(
        file.only("match/factory/collectors/collector"),
        node=factory,
        DN="/CN={}".format(factory),
        comment="the run's Factory",
        factory_identity="gfactory@{}".format(factory),
        my_identity="{}@{}".format(SECURITY_NAME, factory),
    )
    certificate = "/etc/grid-security/hostcert.pem"
    update(file.one("security"), security_name=SECURITY_NAME, classad_proxy=certificate, proxy_DN="/CN=itb")
    update(
        file.only("security/credentials/credential"),
        absfname=token,
        security_class="frontend",
        trust_domain="grid",
        type="scitoken",
    )
    how = {"glidein_publish": "True", "job_publish": "True", "parameter": "False", "type": "string"}
    # The platform's worker nodes need not have apptainer.
    file.set_attr(file.one("attrs"), "GLIDEIN_Singularity_Use", "NEVER", **how)


def configure():
    """Edit, then have the candidate make its working directories of it."""
    file = XmlFile(CONFIG)
    edit(file, variable("ITB_HOST_FACTORY"), variable("ITB_TOKEN_PATH"))
    file.write()
    write("/etc/condor/config.d/99-itb.conf", CONDOR)
    make_private("frontend", os.path.dirname(variable("ITB_TOKEN_PATH")))
    try:
        pwd.getpwnam("testuser")
    except KeyError:
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", "testuser"], check=True)
    run("gwms-frontend", "upgrade")


if __name__ == "__main__":
    main(configure)
