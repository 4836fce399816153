#!/bin/bash
# Configures an installed Pocket WMS factory: edits what the candidate ships.
# Runs as root before its services are started.
set -euo pipefail

# A key the candidate does not ship is a difference worth failing for.
set_key() {
    [ -f "$1" ] || { echo "$1 is not there" >&2; exit 1; }
    grep -q "^$2:" "$1" || { echo "$1: no key $2" >&2; exit 1; }
    sed -i "s|^$2:.*|$2: $3|" "$1"
}

config=/etc/pocketwms/factory.yaml
set_key "$config" loop_seconds 2
set_key "$config" frontend_identity "pocketfrontend@$ITB_HOST_FACTORY"
set_key "$config" stage_url "http://$ITB_HOST_FACTORY/pocketwms/stage"
set_key "$config" site itb
set_key "$config" gatekeeper "$ITB_CE_ADDRESS"
# Long enough for the next jobs of a scenario, short enough to see a pilot leave.
set_key "$config" pilot_idle_seconds 30

cat >/etc/condor/config.d/99-itb.conf <<EOF
# Speed only: what a production factory does every minute, a test-bed does at once.
CONDOR_JOB_POLL_INTERVAL = 2
GRIDMANAGER_JOB_PROBE_INTERVAL = 2
# A CE that was restarted is noticed within seconds instead of minutes.
GRIDMANAGER_RESOURCE_PROBE_INTERVAL = 5
GRIDMANAGER_CONTACT_SCHEDD_DELAY = 1
C_GAHP_CONTACT_SCHEDD_DELAY = 1
CGAHP_SCHEDD_INTERACTION_TIME = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
EOF
chmod 0644 /etc/condor/config.d/99-itb.conf
