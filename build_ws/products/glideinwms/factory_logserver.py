"""Configures a Factory with a log server beside it (glideinwms-logserver), which glideins send their logs to.

What the server's README has a site do: fetch what its PHP scripts use with
composer, start php-fpm.  That glideins know the server is an attribute of
the Factory's entry.
"""

import factory
from host import main, run, variable
from xmlfile import ConfigError

SERVER = "/var/lib/gwms-logserver"
RECIPIENTS = "GLIDEIN_LOG_RECIPIENTS_FACTORY"


def send_logs(file, server):
    """Have the glideins of every entry send their logs to a server (its host name)."""
    how = {"const": "False", "glidein_publish": "True", "job_publish": "True", "parameter": "True", "publish": "True"}
    url = "https://{}/logserver/put.php".format(server)
    file.set_attr(file.one("entries/entry/attrs"), RECIPIENTS, url, type="string", **how)


def fetch():
    """What composer.json asks for; composer explains a failure by its usage, at length."""
    try:
        run("composer", "--working-dir=" + SERVER, "--no-ansi", "--no-interaction", "--no-dev", "install")
    except ConfigError:
        raise ConfigError("composer cannot fetch what the log server needs: can this host reach packagist.org?")


def configure():
    """What the server needs; then the Factory as without one, but for the attribute."""
    fetch()
    factory.configure(also=lambda file: send_logs(file, variable("ITB_HOST_FACTORY")))


if __name__ == "__main__":
    main(configure)
