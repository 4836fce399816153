#!/bin/bash
# Configures HTCondor-CE (package htcondor-ce-condor) in front of a small local
# HTCondor pool, for platforms that have it. Written to its documentation
# (https://htcondor.com/htcondor-ce/v23/configuration/authentication/ and
# .../installation/htcondor-ce/). Runs as root before condor and condor-ce are
# started, and again while they run when there is another issuer. Environment
# as for condor.sh; HTCondor-CE's audience and port 9619 are its defaults.
set -euo pipefail
: "${ITB_CE_ADDRESS:?}"

for user in gwms osg fermilab; do
    id -u "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
done

# Files of mapfiles.d are read in order; the first line that matches decides.
mapping=/etc/condor-ce/mapfiles.d/10-itb.conf
: >"$mapping"
for issuer in ${ITB_TOKEN_ISSUERS:-https://tokens.glideinwms.org/itb}; do
    pattern=$(printf '%s' "$issuer" | sed 's/[][\.*^$+?(){}|/]/\\&/g')
    echo "SCITOKENS /^$pattern,.*/ gwms" >>"$mapping"
done

cat >/etc/condor-ce/config.d/99-itb.conf <<EOF
AUTH_SSL_SERVER_CERTFILE = /etc/grid-security/hostcert.pem
AUTH_SSL_SERVER_KEYFILE = /etc/grid-security/hostkey.pem
JOB_ROUTER_POLLING_PERIOD = 2
SCHEDD_INTERVAL = 5
EOF

cat >/etc/condor/config.d/50-itb-workers.conf <<EOF
CONDOR_HOST = \$(FULL_HOSTNAME)
DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD, STARTD
# What the workers offer is pretended, pilots do next to nothing.
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
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
EOF

if systemctl --quiet is-active condor-ce; then
    condor_ce_reconfig
fi
