#!/bin/bash
# The product's packages leave this host, with their configuration and what its services have written.
set -euo pipefail
# shellcheck source=version.sh
source "$ITB_LIB/version.sh"
leave
