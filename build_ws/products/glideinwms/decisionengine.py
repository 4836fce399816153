"""Configures HEPCloud's Decision Engine where a Frontend would be: database, message broker, one channel.

Written to the Decision Engine's installation guide for EL 9 (hepcloud.github.io)
and to what GlideinWMS' own workspaces configure; not run by its authors.
What the Decision Engine wants to know of GlideinWMS is made of the
frontend.xml the candidate ships, edited as for a Frontend; its own
configuration is extended, not replaced.
"""

import glob
import json
import os
import shutil
import socket

import frontend
from factory import SITE
from host import main, make_private, run, variable, write
from xmlfile import XmlFile

USER = "decisionengine"
HOME = "/etc/decisionengine"
DATABASE = "/var/lib/pgsql/data"
# How the guide wants the database: everybody on the host may enter.
PG_HBA = """\
local all all trust
host all all 127.0.0.1/32 trust
host all all ::1/128 trust
"""
# Jsonnet adds objects: what the package ships stays as it is, but for these.
ENGINE = """\
(import 'shipped.libsonnet') + {
  broker_url: 'redis://localhost:6379/0',
  channels: '%(home)s/config.d',
  dataspace+: {datasource+: {config+: {url: 'postgresql://postgres:@localhost/decisionengine'}}},
  glideinwms: import 'glideinwms.libsonnet',
}
""" % {"home": HOME}
LISTS = ("process_logs", "collectors", "schedds", "credentials")
NAMED = ("attrs", "groups", "match_attrs")
ELEMENT = 1  # nodeType
JOB = ("ClusterId", "ProcId", "JobStatus", "RequestCpus", "RequestMemory", "ServerTime", "EnteredCurrentStatus")
SLOT = ("SlotType", "Cpus", "TotalCpus", "GLIDECLIENT_NAME", "GLIDEIN_Entry_Name", "GLIDEIN_FACTORY", "GLIDEIN_Name",
        "State", "Activity", "PartitionableSlot", "Memory", "GLIDEIN_MASTER_NAME", "GLIDEIN_Site")  # fmt: skip
COUNTED = {"Cpus", "TotalCpus", "PartitionableSlot", "Memory", *JOB}


def as_object(element):
    """An element as the Decision Engine has it: attributes and children alike are members of an object."""
    found = dict(element.attributes.items())
    for child in elements(element):
        if child.tagName in LISTS:
            found[child.tagName] = [as_object(item) for item in elements(child)] or {}
        elif child.tagName in NAMED:
            found[child.tagName] = {item.getAttribute("name"): unnamed(as_object(item)) for item in elements(child)}
        else:
            found[child.tagName] = as_object(child)
    return found


def elements(element):
    """The child elements, whatever they are called."""
    return [node for node in element.childNodes if node.nodeType == ELEMENT]


def unnamed(item):
    """An object without its own name, under which it is found."""
    return {key: value for key, value in item.items() if key != "name"}


def defaults(attributes):
    """What an attribute is where a ClassAd has none: a number for those that count, else text."""
    return {name: 0 if name in COUNTED else "" for name in attributes}


def channel(host, factory, group):
    """A channel that asks for glideins while there are idle jobs: where everything is, at the pace of a test."""
    condor = {"condor_config": "/etc/condor/condor_config"}
    factories = [{"collector_host": factory, "classad_attrs": [], "correction_map": {"GLIDEIN_CPUS": 1}}]
    empty = {
        name: {"module": "decisionengine.framework.modules.EmptySource", "name": "EmptySource",
               "parameters": {"data_product_name": name, "max_attempts": 100, "retry_interval": 20}}
        for name in ("AWS_Figure_Of_Merit", "GCE_Figure_Of_Merit", "Nersc_Figure_Of_Merit")
    }  # fmt: skip
    sources = {
        "jobs_manifests": ("htcondor.sources.job_q", {"collector_host": host, "schedds": [host], "constraint": "True",
                           "classad_attrs": list(JOB), "correction_map": defaults(JOB), **condor}),
        "StartdManifestsSource": ("htcondor.sources.slots", {"collector_host": host, "classad_attrs": list(SLOT),
                                  "correction_map": defaults(SLOT), **condor}),
        "factoryglobal_manifests": ("glideinwms.sources.factory_global", {"factories": factories, **condor}),
        "FactoryEntriesSource": ("glideinwms.sources.factory_entries", {"factories": factories, **condor}),
    }  # fmt: skip
    buckets = [{"job_bucket_criteria_expr": "(ClusterId>0)", "frontend_group": group,
                "site_bucket_criteria_expr": ["GLIDEIN_Site=='{}'".format(SITE)]}]  # fmt: skip
    transforms = {
        "t_job_categorization": ("glideinwms.transforms.job_clustering",
                                 {"match_expressions": buckets, "job_q_expr": "JobStatus==1"}),
        "GridFigureOfMerit": ("glideinwms.transforms.grid_figure_of_merit", {"price_performance": 0.9}),
        "glideinwms_requests": ("glideinwms.transforms.glidein_requests",
                                {"accounting_group": group, "fe_config_group": group, "job_filter": "ClusterId > 0"}),
    }  # fmt: skip
    publishers = {
        "glideclientglobal_manifests": ("glideinwms.publishers.glideclientglobal", {"max_retries": 1}),
        "glideclient_manifests": ("glideinwms.publishers.fe_group_classads", {"max_retries": 1}),
    }
    rules = {
        "publish_glidein_requests": {"expression": "(publish_requests)", "actions": sorted(publishers), "facts": []},
        "publish_grid_requests": {"expression": "(allow_grid)", "actions": [], "facts": ["allow_grid_requests"]},
    }
    facts = dict.fromkeys(("publish_requests", "allow_grid", "allow_lcf", "allow_gce", "allow_aws"), "(True)")
    engine = {"module": "decisionengine.framework.logicengine.LogicEngine", "parameters": {"rules": rules, "facts": facts}}
    return {
        "sources": {**modules(sources, schedule=20), **empty},
        "transforms": modules(transforms),
        "logicengines": {"logicengine1": engine},
        "publishers": modules(publishers),
    }


def modules(items, **more):
    """Modules of decisionengine_modules, by name, with their parameters."""
    return {
        name: {"module": "decisionengine_modules." + module, "parameters": parameters, **more}
        for name, (module, parameters) in items.items()
    }


def prepare_database():
    """An empty database, started, and the message broker."""
    if not os.path.exists(DATABASE + "/PG_VERSION"):
        run("postgresql-setup", "--initdb")
    write(DATABASE + "/pg_hba.conf", PG_HBA)
    os.makedirs("/var/run/postgresql", exist_ok=True)
    shutil.chown("/var/run/postgresql", "postgres", "postgres")
    run("systemctl", "start", "postgresql", "redis")
    run("createdb", "-U", "postgres", "decisionengine")


def configure():
    """All of it; then the Frontend's files, which the Decision Engine makes of its own configuration."""
    run("decisionengine-install-python")
    file = XmlFile(frontend.CONFIG)
    frontend.edit(file, variable("ITB_HOST_FACTORY"), variable("ITB_TOKEN_PATH"), frontend.known_plugins())
    file.write()
    os.replace(HOME + "/decision_engine.jsonnet", HOME + "/shipped.libsonnet")
    write(HOME + "/decision_engine.jsonnet", ENGINE)
    settings = as_object(file.root)
    write(HOME + "/glideinwms.libsonnet", json.dumps(settings, indent=1))
    group = next(iter(settings.get("groups") or {"main": {}}))
    asks = channel(socket.getfqdn(), variable("ITB_HOST_FACTORY"), group)
    write(HOME + "/config.d/itb.jsonnet", json.dumps(asks, indent=1))
    write("/etc/condor/config.d/99-itb.conf", frontend.CONDOR)
    run("chown", "--recursive", USER + ":", "/etc/gwms-frontend", "/var/lib/gwms-frontend", HOME)
    make_private(USER, os.path.dirname(variable("ITB_TOKEN_PATH")))
    frontend.add_user()
    prepare_database()
    run("systemctl", "start", "condor", "decisionengine")
    for script in glob.glob("/usr/lib/python3*/site-packages/decisionengine_modules/glideinwms/configure_gwms_frontend.py"):
        run("runuser", "--user", USER, "--", "python3", script)
    run("systemctl", "stop", "decisionengine")  # it starts again once its tokens are there


if __name__ == "__main__":
    main(configure)
