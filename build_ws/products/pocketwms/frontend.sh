#!/bin/bash
# Configures an installed Pocket WMS frontend: edits what the candidate ships.
# Runs as root before its services are started.
set -euo pipefail

# A key the candidate does not ship is a difference worth failing for.
set_key() {
    [ -f "$1" ] || { echo "$1 is not there" >&2; exit 1; }
    grep -q "^$2:" "$1" || { echo "$1: no key $2" >&2; exit 1; }
    sed -i "s|^$2:.*|$2: $3|" "$1"
}

config=/etc/pocketwms/frontend.yaml
set_key "$config" loop_seconds 2
set_key "$config" factory "$ITB_HOST_FACTORY"
set_key "$config" factory_identity "pocketfactory@$ITB_HOST_FACTORY"
set_key "$config" pool "$ITB_HOST_FRONTEND"
set_key "$config" max_pilots 5
set_key "$config" ce_token "$ITB_TOKEN_PATH"

cat >/etc/condor/config.d/99-itb.conf <<EOF
# Speed only: what a production pool does every minute, a test-bed does at once.
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
EOF
chmod 0644 /etc/condor/config.d/99-itb.conf

id -u testuser >/dev/null 2>&1 || useradd --create-home --shell /bin/bash testuser
