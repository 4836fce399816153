#!/bin/bash
# The packages of every role, as the previous version has them, on one host.
# That a previous version does not install is no failure of the candidate's.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
# shellcheck source=../lib/bare.sh
source "$ITB_LIB/bare.sh"
log=/var/log/itb-upgrade.log
only_bare
rm --recursive --force "$work"
mkdir --parents "$work"
installed >"$work/before"
[ ! -s "$work/before" ] || xargs dnf --assumeyes --quiet remove <"$work/before"

offered "$ITB_PREVIOUS_REPO" >"$work/offered"
mapfile -t names < <(words ITB_INSTALL_ | sort | comm -12 - "$work/offered")
if [ "${#names[@]}" -eq 0 ]; then
  echo "$ITB_PREVIOUS_VERSION has none of the packages: $(words ITB_INSTALL_ | paste --serial --delimiters=' ')"
  exit 77
fi
status=0
dnf --assumeyes --setopt=install_weak_deps=False --setopt=keepcache=True --disablerepo="$ITB_CANDIDATE_REPO" \
  --enablerepo="$ITB_PREVIOUS_REPO" install "${names[@]}" >"$log" 2>&1 || status=$?
cat "$log"
if [ "$status" -ne 0 ]; then
  echo "the previous version does not install: $(cause_of_dnf "$log")"
  exit 77
fi
installed >"$work/installed"
echo "${names[*]} $ITB_PREVIOUS_VERSION"
