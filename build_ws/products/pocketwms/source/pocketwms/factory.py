"""The factory: reads requests from its collector, keeps the right number of pilots at the CE."""

import hashlib
import html
import json
import logging
import os
import re
import shutil
from collections import Counter

from . import adverts, daemon
from .adverts import htcondor
from .tokens import token_problem

KEYS = {
    "name": str,
    "description": "",
    "loop_seconds": 30,
    "frontend_identity": str,
    "stage_url": str,
    "site": str,
    "gatekeeper": str,
    "max_pilots": 50,
    "pilot_idle_seconds": 300,
    "held_seconds": 60,
}
STATE = "/var/lib/pocketwms/factory"
PILOT_LOGS = "/var/log/pocketwms/factory/pilots"
PILOT = "/usr/share/pocketwms/pilot.sh"
STARTUP = "/usr/libexec/pocketwms/pilot_startup"
PLAIN = re.compile(r"[A-Za-z0-9][\w.:-]*$")  # such names need no quotes in paths, constraints and arguments
EVENTS = {"000 ": "submitted", "005 ": "ended", "009 ": "removed"}  # as lines of HTCondor's log of jobs begin
STATUS_NAMES = {1: "idle", 2: "running", 3: "removed", 4: "completed", 5: "held"}


def write_private(path, text):
    """Replace a file as a whole: GridManager may read it at any moment."""
    temporary = path + ".new"
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(text)
    os.replace(temporary, path)


def read(path):
    """Return the text of a file."""
    with open(path, encoding="ascii") as file:
        return file.read()


def write_page(name, text):
    """Replace a page as a whole: the web server may read it at any moment."""
    path = os.path.join(STATE, "monitor", name)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


def count_pilots():
    """Return how many pilots were submitted, have ended and were removed, by what HTCondor has logged of them."""
    counts = dict.fromkeys(EVENTS.values(), 0)
    path = os.path.join(PILOT_LOGS, "pilots.log")
    if os.path.exists(path):
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                if line[:4] in EVENTS:
                    counts[EVENTS[line[:4]]] += 1
    return counts


def write_monitor(settings, requests, states):
    """Write what the web server shows: how many pilots there are and were, for people and for programs."""
    now = {name: states[name] for name in ("idle", "running", "held")}
    figures = {key: settings[key] for key in ("name", "description", "site")}
    figures["requests"] = requests
    figures["pilots"] = {**now, **count_pilots()}
    write_page("status.json", json.dumps(figures, indent=1) + "\n")
    rows = "".join("<tr><td>%s</td><td>%d</td></tr>\n" % item for item in figures["pilots"].items())
    title, about = html.escape("Factory %(name)s, site %(site)s" % settings), html.escape(settings["description"])
    page = '<!DOCTYPE html>\n<html><head><meta charset="utf-8"><title>%s</title></head><body>\n' % title
    write_page("index.html", "%s<h1>%s</h1>\n<p>%s</p>\n<table>\n%s</table>\n</body></html>\n" % (page, title, about, rows))


def own_key():
    """Return the factory's private key, made at its first start."""
    path = os.path.join(STATE, "key.pem")
    if not os.path.exists(path):
        write_private(path, adverts.new_key())
    return read(path)


def stage_pilot():
    """Put the pilot where the web server serves it; return its file name and checksum.

    The name holds the checksum: pilots submitted before an upgrade get the
    script they were submitted with.
    """
    with open(PILOT, "rb") as file:
        checksum = hashlib.sha256(file.read()).hexdigest()
    name = "pilot-%s.sh" % checksum[:12]
    path = os.path.join(STATE, "stage", name)
    if not os.path.exists(path):
        shutil.copyfile(PILOT, path)
    return name, checksum


def keep_credentials(request):
    """Store what came sealed with a request; return its directory, the same for a frontend at all times."""
    secrets = adverts.unseal(own_key(), request["PocketCredentials"])
    problem = token_problem(secrets["ce_token"])
    if problem:
        raise ValueError("its token %s" % problem)
    private = os.path.join(STATE, "credentials", request["PocketName"])
    os.makedirs(private, mode=0o700, exist_ok=True)
    for key in ("ce_token", "pilot_token"):
        path = os.path.join(private, key)
        if not os.path.exists(path) or read(path) != secrets[key]:
            write_private(path, secrets[key])
    return private


def submit(settings, schedd, request, private, count):
    """Submit pilots through the local schedd, whose GridManager talks to the CE."""
    frontend = request["PocketName"]
    stage, checksum = stage_pilot()
    arguments = (settings["stage_url"] + "/" + stage, checksum, settings["site"], frontend)
    arguments += (request["PocketPool"], str(settings["pilot_idle_seconds"]))
    description = {
        "universe": "grid",
        "grid_resource": "condor %s %s" % (settings["gatekeeper"].split(":")[0], settings["gatekeeper"]),
        "scitokens_file": os.path.join(private, "ce_token"),
        "executable": STARTUP,
        "arguments": " ".join(arguments),
        "transfer_input_files": os.path.join(private, "pilot_token"),
        "transfer_output_files": '""',
        "output": PILOT_LOGS + "/$(Cluster).$(Process).out",
        "error": PILOT_LOGS + "/$(Cluster).$(Process).err",
        "log": PILOT_LOGS + "/pilots.log",
        "notification": "never",
        "My.PocketFrontend": '"%s"' % frontend,
    }
    cluster = schedd.submit(htcondor.Submit(description), count=count).cluster()
    logging.info("%d pilots for %s submitted to %s: cluster %d", count, frontend, settings["site"], cluster)


def remove_held(settings, schedd):
    """Remove pilots the CE would not have; not at once, so that their reason can be seen and retries are slow."""
    old = "PocketFrontend isnt undefined && JobStatus == 5 && time() - EnteredCurrentStatus > %d"
    constraint = old % settings["held_seconds"]
    for job in schedd.query(constraint, ["ClusterId", "ProcId", "HoldReason"]):
        logging.warning("pilot %s.%s held: %s", job["ClusterId"], job["ProcId"], job.get("HoldReason"))
        schedd.act(htcondor.JobAction.Remove, "%s.%s" % (job["ClusterId"], job["ProcId"]))


def serve(settings, schedd, request):
    """Submit what a request lacks."""
    frontend = request["PocketName"]
    if not PLAIN.match(frontend) or not PLAIN.match(request["PocketPool"]):
        raise ValueError("the name of frontend or pool is not plain")
    states = Counter(job["JobStatus"] for job in schedd.query('PocketFrontend == "%s"' % frontend, ["JobStatus"]))
    waiting = states[1] + states[5]
    room = min(request["PocketMaxPilots"], settings["max_pilots"]) - waiting - states[2]
    count = min(request["PocketIdlePilots"] - waiting, room)
    private = keep_credentials(request)
    if count > 0:
        submit(settings, schedd, request, private, count)


def step(settings):
    """Publish, serve every request, clean up."""
    collector, schedd = htcondor.Collector(), htcondor.Schedd()
    pilots = schedd.query("PocketFrontend isnt undefined", ["JobStatus"])
    states = Counter(STATUS_NAMES.get(job["JobStatus"], "other") for job in pilots)
    adverts.publish(
        collector,
        "Factory",
        settings["name"],
        max(60, 5 * settings["loop_seconds"]),
        PocketSite=settings["site"],
        PocketPublicKey=adverts.public_part(own_key()),
        PocketPilotsIdle=states["idle"],
        PocketPilotsRunning=states["running"],
        PocketPilotsHeld=states["held"],
    )
    requests = adverts.find(collector, "Request", settings["frontend_identity"])
    for request in requests:
        try:
            serve(settings, schedd, request)
        except (KeyError, ValueError) as error:
            logging.warning("request %s not served: %s", request["Name"], error)
    remove_held(settings, schedd)
    write_monitor(settings, len(requests), states)
    counts = ", ".join("%d %s" % (states[name], name) for name in sorted(states)) or "none"
    return "%d requests, pilots: %s" % (len(requests), counts)


def main():
    """Run the daemon; its exit status."""
    return daemon.main("factory", KEYS, step)
