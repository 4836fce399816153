#!/bin/bash
# A host that the product has left gets the version before, which is configured as the candidate was and started.
set -euo pipefail
# shellcheck source=version.sh
source "$ITB_LIB/version.sh"
enter --disablerepo="$ITB_CANDIDATE_REPO" --enablerepo="${ITB_PREVIOUS_REPO:?}"
printf '%s\n' "${services[@]}" | tee "$work/enabled" >"$work/running"
products >"$work/installed"
