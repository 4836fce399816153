"""The frontend: watches the queue of its user pool and asks the factory for pilots."""

import logging

from . import adverts, daemon
from .adverts import htcondor
from .tokens import token_problem, token_times, utc

KEYS = {
    "name": str,
    "description": "",
    "loop_seconds": 30,
    "factory": str,
    "factory_identity": str,
    "pool": str,
    "max_pilots": 10,
    "max_idle_pilots": 5,
    "ce_token": "/var/lib/pocketwms/frontend/ce.scitoken",
    "pilot_token": "/var/lib/pocketwms/frontend/pilot.idtoken",
}


def read_credentials(settings):
    """Return what a pilot needs: the CE's token to get in, the pool's token to join."""
    found = {}
    for key in ("ce_token", "pilot_token"):
        with open(settings[key], encoding="ascii") as file:
            found[key] = file.read().strip()
        if not found[key]:
            raise ValueError("%s is empty" % settings[key])
    CeToken.check(found["ce_token"], settings["ce_token"])
    return found


class CeToken:
    """The CE's token: somebody else renews its file, and the frontend says so."""

    known = ""

    @classmethod
    def check(cls, token, path):
        """Log when it ends if it is a new one; ValueError if a CE would not take it."""
        problem = token_problem(token)
        if token != cls.known:
            renewed = "renewed" if cls.known else "read"
            logging.info("token %s %s: ends at %s", path, renewed, utc(token_times(token)[1]))
            cls.known = token
        if problem:
            raise ValueError("token %s %s" % (path, problem))


def pilots_needed(settings):
    """Return (idle jobs, idle slots, pilots that should be on their way)."""
    jobs = htcondor.Schedd().query("JobStatus == 1 && JobUniverse == 5", ["ClusterId"])
    # A pilot that was killed stays in the collector for minutes; one alive reports every few seconds.
    alive = "time() - LastHeardFrom < 30"
    mine = 'PocketFrontend == "%s" && State == "Unclaimed" && %s' % (settings["name"], alive)
    slots = htcondor.Collector(settings["pool"]).query(htcondor.AdTypes.Startd, mine, ["Name"])
    needed = max(0, len(jobs) - len(slots))
    return len(jobs), len(slots), min(needed, settings["max_idle_pilots"])


def step(settings):
    """Look once, ask once; the request is repeated each loop because ads expire."""
    jobs, slots, needed = pilots_needed(settings)
    collector = htcondor.Collector(settings["factory"])
    factories = adverts.find(collector, "Factory", settings["factory_identity"])
    if not factories:
        raise RuntimeError("no factory of %s in %s" % (settings["factory_identity"], settings["factory"]))
    secrets = adverts.seal(factories[0]["PocketPublicKey"], read_credentials(settings))
    adverts.publish(
        collector,
        "Request",
        settings["name"],
        max(60, 5 * settings["loop_seconds"]),
        PocketPool=settings["pool"],
        PocketIdlePilots=needed,
        PocketMaxPilots=settings["max_pilots"],
        PocketCredentials=secrets,
    )
    return "%d jobs idle, %d slots free: asked for %d idle pilots" % (jobs, slots, needed)


def main():
    """Run the daemon; its exit status."""
    return daemon.main("frontend", KEYS, step)
