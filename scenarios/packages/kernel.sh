#!/bin/bash
# What only some platforms have: SELinux has denied the product nothing and its files have their contexts; what listens
# on IPv4 only where the host has IPv6, as a note; TAP.
set -euo pipefail
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
read -r -a names <<<"${ITB_PACKAGES:-}"
if [ "${#names[@]}" -eq 0 ]; then
  echo "no package of the product is installed on $ITB_ROLE"
  exit 77
fi
plan 2

# denied: what SELinux has denied since the host booted to programs and services of the product.
denied() {
  local paths
  paths=$(rpm --query --list "${names[@]}" | sed --quiet 's#^.*/s\?bin/\([^/]*\)$#comm="\1#p')
  {
    ausearch --message avc --start boot 2>/dev/null || true
    journalctl --dmesg --boot --output=cat --no-pager --quiet --grep 'avc: *denied' || true
  } | grep 'denied' | grep --fixed-strings "${paths:-comm=\"/}" | head --lines=20
}

# misplaced: files of the product with another context than the policy has for them.
misplaced() {
  rpm --query --list "${names[@]}" | grep '^/' | sort --unique | xargs --delimiter='\n' restorecon -n -v 2>/dev/null |
    sed --quiet 's/^Would relabel //p' | head --lines=20
}

if [ "$(getenforce 2>/dev/null || echo Disabled)" = Disabled ]; then
  skipped SELinux "not looked at: the platform has none"
else
  clean SELinux "$(denied || true)$(misplaced || true)"
  comment "$(getenforce)"
fi

# ports FILE ADDRESS: ports on which something waits for TCP on all addresses.
ports() { awk -v all="$2" '$4 == "0A" { split($2, at, ":"); if (at[1] == all) print at[2] }' "$1" | sort --unique; }

if ! awk '$4 == "00" && $6 != "lo"' /proc/net/if_inet6 2>/dev/null | grep --quiet .; then
  skipped IPv6 "not looked at: the platform has none, no address but of the link"
else
  ok IPv6
  for port in $(comm -23 <(ports /proc/net/tcp 00000000) <(ports /proc/net/tcp6 "$(printf '0%.0s' {1..32})")); do
    comment "listens on IPv4 only: port $((16#$port))"
  done
fi
