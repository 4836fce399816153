#!/bin/bash
# rpm -V of every package of the product on this host; TAP.
# ITB_PACKAGES: their names, or "all" for those of the candidate's repository.
# ITB_FRESH: yes where nothing was configured; elsewhere changed configuration is meant,
# and what services write to files of theirs below /var, as long as nobody else comes to own them.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
read -r -a names <<<"${ITB_PACKAGES:-}"
[ "${names[*]}" != all ] || mapfile -t names < <(installed)
if [ "${#names[@]}" -eq 0 ]; then
  echo "no package of the product is installed on $ITB_ROLE"
  exit 77
fi
# Second column "c": a configuration file, which whoever configures a host changes. What else is changed in /etc is no
# %config: configured.sh says so.
meant='^[.SM5DLUGTP?]{8,9}  c |^[S.][.]5[.]{4}[T.][.]? +/etc/|^[.S?][.M?][.5?][.?][.?][.?][.?][.T?][.?]? +/var/'
plan "${#names[@]}"
for name in "${names[@]}"; do
  found=$(rpm --verify "$name" || true)
  [ "${ITB_FRESH:-no}" = yes ] || found=$(grep --invert-match --extended-regexp "$meant" <<<"$found" || true)
  clean "$name" "$found"
done
