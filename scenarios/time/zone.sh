#!/bin/bash
# The host is in the time zone ZONE, or, without one, in its own and with the machine's clock; its services are
# restarted, for a program reads its time zone when it starts.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
own=/var/lib/itb/time/localtime
if [ -n "${ZONE:-}" ]; then
  file=/usr/share/zoneinfo/$ZONE
  [ -e "$file" ] || dnf --assumeyes --quiet install tzdata || true
  [ -e "$file" ] || {
    echo "the platform has no time zone $ZONE"
    exit 77
  }
  mkdir --parents "${own%/*}"
  [ -e "$own" ] || [ -L "$own" ] || [ ! -e /etc/localtime ] || mv /etc/localtime "$own"
  ln --symbolic --force --no-dereference "$file" /etc/localtime
else
  bash "$ITB_SCENARIO_DIR/clock.sh" right
  [ -d "${own%/*}" ] || exit 0 # it is where it was
  rm --force /etc/localtime
  [ ! -e "$own" ] && [ ! -L "$own" ] || mv "$own" /etc/localtime
  rm --recursive --force "${own%/*}"
fi
restart_services
mark_logs
echo "$(date '+%F %T %Z (%z)'), which is $(date --utc '+%T UTC'); restarted: ${services[*]}"
