#!/bin/bash
# Leaves the candidate on this host, with its services up, whatever came before.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
variable=ITB_INSTALL_${ITB_ROLE^^}
find /var -xdev -name itb-was-here -delete
read -r -a wanted <<<"${!variable:-}"
read -r -a names <<<"${ITB_PACKAGES:-}"
rpm --query "${names[@]}" >/dev/null || dnf --assumeyes --quiet install "${wanted[@]}"
dnf --assumeyes --quiet upgrade "${names[@]}"
for unit in "${services[@]}"; do systemctl start "$unit"; done
rm --recursive --force /var/lib/itb/upgrade
