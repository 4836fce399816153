#!/bin/bash
# A host gets the candidate, configured and with its services up, whatever was on it before.
set -euo pipefail
# shellcheck source=version.sh
source "$ITB_LIB/version.sh"
find /var -xdev -name itb-was-here -delete
leave || true # what does not go by itself went by force; whose fault that is, is for other steps to say
rm --recursive --force "$work"
enter --enablerepo="$ITB_CANDIDATE_REPO"
