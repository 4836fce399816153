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
  local line unit
  unit=$(property "$1" Id) # a name may be an alias
  line=$(journalctl --unit="$unit" --priority=err --lines=1 --output=cat --no-pager --quiet)
  echo "# $1 is $(property "$1" ActiveState), result $(property "$1" Result)${line:+: $line}"
  journalctl --unit="$unit" --lines=20 --no-pager --quiet | sed 's/^/#   /'
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

# own_services: the services that the product's own packages bring.
own_services() {
  local unit owner
  for unit in "${services[@]}"; do
    owner=$(rpm --query --file --queryformat '%{NAME}\n' "$(property "$unit" FragmentPath)" 2>/dev/null) || continue
    case " ${ITB_PACKAGES:-} " in *" $owner "*) echo "$unit" ;; esac
  done
}

# own_command NAME VARIABLE: runs the product's command in this variable; a result of TAP, skipped without one.
own_command() {
  local command=${!2:-} log=/var/log/itb-own.log status=0 why=''
  if [ -z "$command" ]; then
    skipped "$1" "it has none ($2)"
    return
  fi
  timeout 120 bash -c "$command" >"$log" 2>&1 || status=$?
  if [ "$status" -ne 0 ]; then
    why=$(grep --extended-regexp '^[A-Za-z_.]*(Error|Exception)|Error|ERROR' "$log" | tail --lines=1 || tail --lines=1 "$log")
    why="$command: exit status $status: $why"
  fi
  clean "$1" "$why"
  comment "$(tail --lines=30 "$log")"
}

# report_up: whether each service is up; results of TAP.
report_up() {
  local unit
  for unit in "${services[@]}"; do
    if wait_up "$unit"; then
      ok "$unit is up"
    else
      not_ok "$unit is up"
      cause "$unit"
    fi
  done
}
