#!/bin/bash
# The product's own services and its own command run in the locale ITB_LOCALE, and its configuration is described by
# ITB_DESCRIPTION; TAP. Python before 3.7 takes C for ASCII, and later ones do if they are told to: where the packages
# allow an older one they are.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
[ -e "$begun" ] || date '+%s' >"$begun"
variables=("LANG=$ITB_LOCALE" "LC_ALL=$ITB_LOCALE")
read -r -a names <<<"${ITB_PACKAGES:-}"
if rpm --query --requires "${names[@]}" | grep --quiet --extended-regexp '^python3 >= 3\.[0-6]$'; then
  variables+=(PYTHONCOERCECLOCALE=0 PYTHONUTF8=0)
fi
for unit in "${own[@]}"; do
  file=$(drop_in "$unit")
  mkdir --parents "${file%/*}"
  {
    echo '[Service]'
    printf 'Environment=%s\n' "${variables[@]}"
  } >"$file"
done
systemctl daemon-reload
export "${variables[@]}"
plan "$((1 + ${#services[@]}))"
log=/var/log/itb-locale.log status=0 why='' command=ITB_DESCRIBE_${ITB_ROLE^^}
describe "$ITB_DESCRIPTION" >"$log" 2>&1 || status=$?
if [ "$status" -ne 0 ]; then
  why=$(grep --extended-regexp 'Error|error' "$log" | tail --lines=1 || tail --lines=1 "$log")
  why="with ${variables[*]}: exit status $status: $why"
fi
if [ -n "${!command:-}" ]; then
  clean "the configuration takes umlauts" "$why"
else
  skipped "the configuration takes umlauts" "the product does not say how it is described ($command)"
fi
comment "$(tail --lines=30 "$log")"
for unit in "${own[@]}"; do systemctl restart "$unit" || true; done
report_up
comment "${variables[*]}"
