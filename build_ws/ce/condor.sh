#!/bin/bash
# Makes a plain HTCondor a compute element: a schedd on port 9619 that takes
# SciTokens, and a few workers that claim more processors than the host has.
# For platforms without HTCondor-CE. Runs as root before condor is started, and
# again while it runs when there is another issuer.
# ITB_CE_ADDRESS (host:port) is the tokens' audience, ITB_TOKEN_ISSUERS the
# accepted issuers, ITB_CE_CORES the number of workers.
set -euo pipefail
address=${ITB_CE_ADDRESS:?}
port=${address##*:}
mapfile=/etc/condor/itb.mapfile

for user in gwms osg fermilab; do
    id -u "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
done

: >"$mapfile"
for issuer in ${ITB_TOKEN_ISSUERS:-https://tokens.glideinwms.org/itb}; do
    pattern=$(printf '%s' "$issuer" | sed 's/[][\.*^$+?(){}|/]/\\&/g')
    echo "SCITOKENS /^$pattern,.*/ gwms" >>"$mapfile"
done

cat >/etc/condor/config.d/50-itb-ce.conf <<EOF
CONDOR_HOST = \$(FULL_HOSTNAME)
COLLECTOR_HOST = $address
SHARED_PORT_PORT = $port
DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD, STARTD

# Who comes with a token is mapped by its issuer; who is on the host, by FS.
SCHEDD.SEC_WRITE_AUTHENTICATION_METHODS = FS, SCITOKENS
SCHEDD.SEC_READ_AUTHENTICATION_METHODS = FS, SCITOKENS
COLLECTOR.SEC_WRITE_AUTHENTICATION_METHODS = FS, SCITOKENS
COLLECTOR.SEC_READ_AUTHENTICATION_METHODS = FS, SCITOKENS
SCITOKENS_SERVER_AUDIENCE = \$(COLLECTOR_HOST)
CERTIFICATE_MAPFILE = $mapfile
CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS = True
AUTH_SSL_SERVER_CERTFILE = /etc/grid-security/hostcert.pem
AUTH_SSL_SERVER_KEYFILE = /etc/grid-security/hostkey.pem

# Workers: what they offer is pretended, pilots do next to nothing.
NUM_CPUS = ${ITB_CE_CORES:-8}
MEMORY = 16384
SLOT_TYPE_1 = cpus=1
SLOT_TYPE_1_PARTITIONABLE = False
NUM_SLOTS_TYPE_1 = ${ITB_CE_CORES:-8}
RUNBENCHMARKS = False
FILETRANSFER_PLUGINS = \$(LIBEXEC)/curl_plugin
START = True
SUSPEND = False
PREEMPT = False
KILL = False

# The workers live and die with this host: after a restart no job is out there to
# reconnect to, so it starts anew instead of waiting for its lease to run out.
JOB_TRANSFORM_NAMES = WithoutLease
JOB_TRANSFORM_WithoutLease @=end
    DELETE JobLeaseDuration
@end

# A test-bed has no time to lose.
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 15
EOF

if systemctl --quiet is-active condor; then
    condor_reconfig
fi
