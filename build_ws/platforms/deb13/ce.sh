#!/bin/bash
# The host of the Compute Entrypoint, before it is configured.
set -euo pipefail

# shellcheck source=/dev/null
. /mnt/definition/dnf.sh
read -ra packages <<<"$ITB_CE_PACKAGES"
install_packages "${packages[@]}"
