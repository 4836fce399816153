"""Configures an installed GlideinWMS Frontend: edits the frontend.xml the candidate ships.

Runs as root before HTCondor is started.  What is set here is what every
site has to set (its Factory, its credential and what selects it), and
shorter intervals.
"""

import importlib.util
import os
import pwd
import subprocess

from host import main, make_private, note, run, variable, write
from xmlfile import XmlFile, update

CONFIG = "/etc/gwms-frontend/frontend.xml"
SECURITY_NAME = "vofrontend_service"
PLUGINS = "glideinwms.frontend.glideinFrontendPlugins"
FOR_PROXIES, FOR_TOKENS = "ProxyAll", "CredentialsBasic"
CONDOR = """\
# Speed only: what a production pool does every minute, a test-bed does at once.
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
"""


def edit(file, factory, token, plugins=()):
    """Point the Frontend to a Factory and give it a SciToken; every host certificate of the run will do.

    ``plugins`` are the names of what can select credentials in this version.
    """
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
    security = file.one("security")
    update(security, security_name=SECURITY_NAME, classad_proxy=certificate, proxy_DN="/CN=itb")
    select(security, plugins)
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


def select(security, plugins):
    """Have tokens selected by what is made for them, from 3.11 on, where the example is one of proxies still.

    3.11.0 to 3.11.2 ship the selection by ProxyAll, which their code cannot use any more.
    """
    if security.getAttribute("proxy_selection_plugin") == FOR_PROXIES and FOR_TOKENS in plugins:
        update(security, proxy_selection_plugin=FOR_TOKENS)
        note("the shipped {} selects credentials by {}; {} is set instead".format(CONFIG, FOR_PROXIES, FOR_TOKENS))


def known_plugins():
    """Names of classes that select credentials, as the installed program's text has them."""
    try:
        found = importlib.util.find_spec(PLUGINS)
    except ImportError:
        return ()
    if found is None or not found.origin:
        return ()
    with open(found.origin, encoding="utf-8") as file:
        text = file.read()
    return tuple(name for name in (FOR_PROXIES, FOR_TOKENS) if "class {}".format(name) in text)


def configure():
    """Edit, then have the candidate make its working directories of it."""
    file = XmlFile(CONFIG)
    edit(file, variable("ITB_HOST_FACTORY"), variable("ITB_TOKEN_PATH"), known_plugins())
    file.write()
    write("/etc/condor/config.d/99-itb.conf", CONDOR)
    make_private("frontend", os.path.dirname(variable("ITB_TOKEN_PATH")))
    add_user()
    run("gwms-frontend", "upgrade")


def add_user():
    """The user who submits jobs."""
    try:
        pwd.getpwnam("testuser")
    except KeyError:
        subprocess.run(["useradd", "--create-home", "--shell", "/bin/bash", "testuser"], check=True)


if __name__ == "__main__":
    main(configure)
