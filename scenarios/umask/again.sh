#!/bin/bash
# The candidate is installed and configured anew, and its own commands are run, by somebody with the umask ITB_UMASK:
# what it has has the modes and owners as before, and its services start; TAP.
set -euo pipefail
# shellcheck source=../lib/version.sh
source "$ITB_LIB/version.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"

# own_command_of_role: what the product's manual has an administrator run (ITB_RECONFIG_<ROLE>). Whether it succeeds is
# for other scenarios to say, and what becomes of services then.
own_command_of_role() {
  local variable=ITB_RECONFIG_${ITB_ROLE^^}
  [ -z "${!variable:-}" ] || timeout 120 bash -c "${!variable}" >>"$said" 2>&1 || true
}

plan "$((2 + ${#services[@]}))"
said=/var/log/itb-umask.log before=/var/lib/itb/modes.json other=/var/lib/itb/other-umask
touch "$other"
: >"$said"
umask 022
own_command_of_role
python3 "$ITB_SCENARIO_DIR/modes.py" save "$before"
wrong=$(leave) && wrong=''
umask "$ITB_UMASK"
if [ -z "$wrong" ]; then
  wrong=$(enter --enablerepo="$ITB_CANDIDATE_REPO" 2>&1 | tee --append "$said"; exit "${PIPESTATUS[0]}") && wrong=''
fi
clean "it is installed and configured" "${wrong##*$'\n'}"
own_command_of_role
mapfile -t units < <(own_services)
for unit in "${units[@]}"; do systemctl restart "$unit" >>"$said" 2>&1 || true; done
differences=$(python3 "$ITB_SCENARIO_DIR/modes.py" compare "$before")
clean "modes and owners are the same" "$differences"
report_up
[ -n "$wrong$differences" ] || rm --force "$other"
comment "$(tail --lines=30 "$said")"
