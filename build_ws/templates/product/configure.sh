#!/bin/bash
# Configures an installed newproduct on its host: runs as root, after the files were verified and before services
# start. ITB_ROLE is the role, ITB_HOST_SERVER and so on are full names of hosts; what it prints is in
# hosts/ROLE/configure.log, and what it changes in configuration.diff.
set -euo pipefail

# A key that the candidate does not ship any more is a difference worth failing for.
config=/etc/newproduct.conf
grep -q '^greeting=' "$config" || { echo "$config: no key greeting" >&2; exit 1; }
sed -i "s/^greeting=.*/greeting=hello from $ITB_HOST_SERVER/" "$config"
