#!/bin/bash
# The clock that the services of this host see: CLOCK=tool makes sure that one can be made wrong, a number of seconds
# makes it so, "clock.sh right" makes it the machine's once they are restarted. A container has the machine's clock,
# which stays as it is: libfaketime stands between a service and the clock. The rest of the host sees the right one.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
how=${1:-${CLOCK:?}}
ours=/var/lib/itb/faketime-is-ours
dnf=(dnf --assumeyes --quiet)

library() { rpm --query --list libfaketime 2>/dev/null | sed --quiet '/\/libfaketime\.so\.1$/p'; }

# drop_in UNIT: the file that belongs to this scenario.
drop_in() { echo "/run/systemd/system/$(property "$1" Id).d/itb-clock.conf"; }

case $how in
tool)
  library >/dev/null || {
    "${dnf[@]}" --setopt=install_weak_deps=False install libfaketime >/var/log/itb-faketime.log 2>&1 || {
      echo "the platform has no libfaketime: $(tail --lines=1 /var/log/itb-faketime.log)"
      exit 77
    }
    touch "$ours"
  }
  here=$(date +%s)
  there=$(LD_PRELOAD=$(library) FAKETIME=-180 FAKETIME_DISABLE_SHM=1 date +%s)
  if ((here - there < 170 || here - there > 190)); then
    echo "libfaketime does not work here: $((here - there)) s instead of 180"
    exit 77
  fi
  rpm --query libfaketime
  ;;
right)
  for unit in "${services[@]}"; do rm --force "$(drop_in "$unit")"; done
  systemctl daemon-reload
  [ ! -e "$ours" ] || "${dnf[@]}" remove libfaketime >/dev/null
  rm --force "$ours"
  ;;
*)
  file=$(library)
  for unit in "${services[@]}"; do
    mkdir --parents "$(dirname "$(drop_in "$unit")")"
    # Without the last one, where it is known, processes share a file in /dev/shm that only one user can read.
    cat >"$(drop_in "$unit")" <<UNIT
[Service]
Environment=LD_PRELOAD=$file FAKETIME=$how FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_DISABLE_SHM=1
UNIT
  done
  systemctl daemon-reload
  restart_services
  echo "$how s for ${services[*]}"
  ;;
esac
