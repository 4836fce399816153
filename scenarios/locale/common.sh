# shellcheck shell=bash
# What the scripts of this folder share.
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
# shellcheck disable=SC2034  # for the scripts
mapfile -t own < <(own_services)
# shellcheck disable=SC2034  # for the scripts
begun=/var/lib/itb/locale-begun

# describe TEXT: puts it into the configuration, by the command ITB_DESCRIBE_<ROLE> of the product.
describe() {
  local command=ITB_DESCRIBE_${ITB_ROLE^^} reconfig=ITB_RECONFIG_${ITB_ROLE^^}
  [ -n "${!command:-}" ] || return 0
  ITB_DESCRIPTION=$1 bash -c "${!command}" || return
  [ -z "${!reconfig:-}" ] || timeout 100 bash -c "${!reconfig}"
}

# drop_in UNIT: the file that sets its locale.
drop_in() { echo "/run/systemd/system/$(property "$1" Id).d/itb-locale.conf"; }
