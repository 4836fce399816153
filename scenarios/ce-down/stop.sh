#!/bin/bash
# Stops the CE as a crash would: its pilots have no time to say good-bye.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
for unit in "${services[@]}"; do
  systemctl kill --signal=KILL "$unit"
  systemctl stop "$unit"
done
echo "${services[*]} stopped"
