#!/bin/bash
# What is configured on this host outlives an upgrade that brings another default: each file that differs from what
# its package brought is %config(noreplace); TAP. What changes in this version does not matter: the next one may.
set -euo pipefail
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
read -r -a names <<<"${ITB_PACKAGES:-}"
if [ "${#names[@]}" -eq 0 ]; then
  echo "no package of the product is installed on $ITB_ROLE"
  exit 77
fi

# changed NAME: flags and path of each file of a package in /etc that has another content than the package's. Not by
# rpm --verify, which looks at no content of a file with %verify(not md5): flags have c for configuration, n for
# noreplace.
changed() {
  local flags digest path sum
  rpm --query --queryformat '[%{FILEFLAGS:fflags}|%{FILEDIGESTS}|%{FILENAMES}\n]' "$1" | grep '|/etc/' |
    while IFS='|' read -r flags digest path; do
      { [ -f "$path" ] && [ ! -L "$path" ]; } || continue
      case ${#digest} in
      32) sum=$(md5sum <"$path") ;;
      64) sum=$(sha256sum <"$path") ;;
      *) continue ;; # a ghost, or a folder
      esac
      [ "${sum%% *}" = "$digest" ] || printf '%s|%s\n' "$flags" "$path"
    done
}

plan "${#names[@]}"
for name in "${names[@]}"; do
  wrong=()
  while IFS='|' read -r flags path; do
    case $flags in
    *n*) ;;
    *c*) wrong+=("$path is changed here, and is %config without noreplace in $name: the next other default replaces it") ;;
    *) wrong+=("$path is changed here, and is no %config in $name: every upgrade overwrites it") ;;
    esac
  done < <(changed "$name")
  clean "$name" "$(printf '%s\n' "${wrong[@]}")"
done
