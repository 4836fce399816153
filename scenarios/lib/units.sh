# shellcheck shell=bash
# Services of a host; a script takes it with: source "$ITB_LIB/units.sh"
#
# ITB_SERVICES: the product's services on this host, in the order they start.

read -r -a services <<<"${ITB_SERVICES:-}"
if [ "${#services[@]}" -eq 0 ]; then
  echo "the product has no service on $ITB_ROLE"
  exit 77
fi

# property UNIT NAME: one property of a unit.
property() { systemctl show --value --property="$2" "$1"; }

# cause UNIT: the line that says why a unit is not up, then what led to it, as TAP comments.
cause() {
  local line
  line=$(journalctl --unit="$1" --priority=err --lines=1 --output=cat --no-pager --quiet)
  echo "# $1 is $(property "$1" ActiveState), result $(property "$1" Result)${line:+: $line}"
  journalctl --unit="$1" --lines=20 --no-pager --quiet | sed 's/^/#   /'
}

# wait_up UNIT: until a unit is active; fails when it will not become so.
wait_up() {
  local state deadline=$((SECONDS + 60))
  while ((SECONDS < deadline)); do
    state=$(property "$1" ActiveState)
    case $state in
    active) return 0 ;;
    failed) return 1 ;;
    esac
    sleep 0.2
  done
  return 1
}
