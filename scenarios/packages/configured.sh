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

# flagged NAME: each configuration file of a package, with its flags: c, and n for noreplace.
flagged() { rpm --query --queryformat '[%{FILEFLAGS:fflags} %{FILENAMES}\n]' "$1" | grep '^[a-z]*c'; }

plan "${#names[@]}"
for name in "${names[@]}"; do
  wrong=()
  # Third column "5": other content.
  while read -r path; do
    flags=$(flagged "$name" | awk -v path="$path" '$2 == path { print $1 }')
    case $flags in
    *n*) ;;
    *c*) wrong+=("$path is changed here, and is %config without noreplace in $name: the next other default replaces it") ;;
    *) wrong+=("$path is changed here, and is no %config in $name: every upgrade overwrites it") ;;
    esac
  done < <(rpm --verify "$name" | sed --quiet --regexp-extended 's#^..5\S{5,6} +([a-z] +)?(/etc/.*)$#\2#p')
  clean "$name" "$(printf '%s\n' "${wrong[@]}")"
done
