#!/bin/bash
# All packages of the candidate on one host, and what only its tests need, as far as a repository has it.
set -euo pipefail
# shellcheck source=../lib/bare.sh
source "$ITB_LIB/bare.sh"
only_bare
[ -d "${ITB_OWN_TESTS:?}/${ITB_OWN_TESTS_FOLDER:?}" ] || {
  echo "the source has no folder $ITB_OWN_TESTS_FOLDER (own_tests: of the product's definition)"
  exit 1
}
log=/var/log/itb-own-tests.log
mapfile -t names < <(packages_of "${ITB_CANDIDATE_REPO:?}" | cut --delimiter=' ' --fields=1)
dnf --assumeyes --setopt=install_weak_deps=False --setopt=keepcache=True --setopt=strict=False --skip-broken \
  install "${names[@]}" >"$log" 2>&1 || {
  cat "$log"
  echo "they do not install: $(cause_of_dnf "$log")"
  exit 1
}
read -r -a more <<<"${ITB_OWN_TESTS_PACKAGES:-}"
lacking=()
for name in "${more[@]}"; do
  dnf --assumeyes --setopt=install_weak_deps=False --setopt=keepcache=True install "$name" >>"$log" 2>&1 || lacking+=("$name")
done
echo "${#names[@]} packages${lacking:+; no repository has ${lacking[*]}}"
