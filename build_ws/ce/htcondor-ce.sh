#!/bin/bash
# Configures HTCondor-CE (package htcondor-ce-condor) in front of a small local
# HTCondor pool, for platforms that have it. Written to its documentation
# (https://htcondor.com/htcondor-ce/v23/configuration/authentication/ and
# .../installation/htcondor-ce/). Runs as root before condor and condor-ce are
# started, and again while they run when there is another issuer. Environment
# as for condor.sh; HTCondor-CE's audience and port 9619 are its defaults.
set -euo pipefail
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"
: "${ITB_CE_ADDRESS:?}"

add_users
# Files of mapfiles.d are read in order; the first line that matches decides.
map_issuers /etc/condor-ce/mapfiles.d/10-itb.conf

cat >/etc/condor-ce/config.d/99-itb.conf <<EOF
AUTH_SSL_SERVER_CERTFILE = /etc/grid-security/hostcert.pem
AUTH_SSL_SERVER_KEYFILE = /etc/grid-security/hostkey.pem
JOB_ROUTER_POLLING_PERIOD = 2
SCHEDD_INTERVAL = 5
EOF

workers >/etc/condor/config.d/50-itb-workers.conf

if systemctl --quiet is-active condor-ce; then
    condor_ce_reconfig
fi
