#!/bin/bash
# dnf upgrades the product on this host to the candidate. What else an upgrade must keep, scenario upgrade looks at.
set -euo pipefail
# shellcheck source=../lib/version.sh
source "$ITB_LIB/version.sh"
mapfile -t names < <(products)
dnf --assumeyes --setopt=install_weak_deps=False --setopt=keepcache=True upgrade "${names[@]}" >"$log" 2>&1 || {
  cat "$log"
  echo "the upgrade fails: $(cause_of_dnf "$log")"
  exit 1
}
mapfile -t names < <(products)
now=$(rpm --query --queryformat '%{NAME}-%{VERSION}-%{RELEASE}\n' "${names[@]}" | paste --serial --delimiters=' ')
offered=$(packages_of "$ITB_CANDIDATE_REPO" | cut --delimiter=' ' --fields=2)
for name in $now; do
  grep --quiet --line-regexp --fixed-strings -e "$name" <<<"$offered" || {
    echo "$name is not the candidate's after the upgrade: $(cause_of_dnf "$log")"
    exit 1
  }
done
echo "$now"
