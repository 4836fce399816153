"""What both daemons share: a loop that outlives what it talks to, reload on HUP, word to systemd."""

import argparse
import logging
import logging.handlers
import os
import signal
import socket
import sys

from . import adverts, config

SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
EXIT_CONFIG = 78  # the unit does not restart after it: only a person can cure a configuration


def tell_systemd(message):
    """Send a line of sd_notify's protocol, if systemd wants to know."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.sendto(message.encode(), address.replace("@", "\0", 1))


def start_log(path):
    """Log everything to a file that logrotate may move away, and what is wrong to the journal too."""
    journal = logging.StreamHandler()
    journal.setLevel(logging.WARNING)
    journal.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    kept = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
    kept.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[journal, kept])


def main(role, keys, step):
    """Run ``step(settings)`` every ``loop_seconds`` until told to stop; it returns its state in a line."""
    parser = argparse.ArgumentParser(description="pocketwms %s" % role)
    parser.add_argument("--config", default="/etc/pocketwms/%s.yaml" % role)
    parser.add_argument("--log", default="/var/log/pocketwms/{0}/{0}.log".format(role))
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    options = parser.parse_args()
    try:
        settings = config.load(options.config, keys)
    except config.ConfigError as error:
        print("configuration error: %s" % error, file=sys.stderr)
        return EXIT_CONFIG
    if options.check:
        return 0
    start_log(options.log)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    logging.info("%s %s starts: %s", role, settings["name"], settings["description"])
    tell_systemd("READY=1")
    state = None
    while True:
        try:
            now = step(settings)
            log = logging.info
        except adverts.HTCONDOR_ERRORS as error:
            now = "cannot work: %s" % " ".join(str(error).split())
            log = logging.warning
        if now != state:
            log("%s", now)
            tell_systemd("STATUS=%s" % now)
            state = now
        caught = signal.sigtimedwait(SIGNALS, settings["loop_seconds"])
        if caught is None:
            continue
        if caught.si_signo != signal.SIGHUP:
            logging.info("%s stops", role)
            return 0
        try:
            settings = config.load(options.config, keys)
            logging.info("configuration read again")
        except config.ConfigError as error:
            logging.error("configuration unchanged: %s", error)
