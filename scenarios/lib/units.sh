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
  echo "# $(last_words "$1")"
  journalctl --unit="$(property "$1" Id)" --lines=20 --no-pager --quiet | sed 's/^/#   /'
}

# last_words UNIT: one line that says why a unit is not up since the host booted: its own last words, of these the
# last that names an error; else what systemd says of it.
last_words() {
  local full words result said
  full=$(property "$1" Id) # a name may be an alias
  result=$(property "$1" Result)
  said=$(unit_journal 60 _SYSTEMD_UNIT="$full" | sed '/[[:alnum:]]/!d')
  words=$(grep --extended-regexp "$names_error" <<<"$said" | tail --lines=1) || true
  [ -n "$words" ] || [ "$result" = success ] || words=${said##*$'\n'}
  [ -n "$words" ] || words=$(unit_journal 20 _PID=1 UNIT="$full" |
    sed --regexp-extended '/^(Start|Stopp)(ed|ing) |: (Consumed|Deactivated) /d' | tail --lines=1)
  [ -n "$words" ] ||
    words="stopped, or not started since the host booted ($(systemctl is-enabled "$1" 2>&1 | tail --lines=1 || true))"
  echo "$1 is $(property "$1" ActiveState)$([ "$result" = success ] || echo " ($result)"): $words"
}
names_error='^([[:alnum:]_]+\.)*[[:alnum:]_]*(Error|Exception|Exit)\b'
names_error+='|\b(error|Error|ERROR|CRITICAL|FATAL|fatal|denied|[Cc]annot|No such|not found)\b'

# unit_journal COUNT MATCH...: the last lines of the journal since the host booted. A container's boots all have the
# machine's id.
unit_journal() {
  journalctl --since="$(systemctl show --value --property=UserspaceTimestamp)" --output=cat --no-pager --quiet \
    --lines="$1" "${@:2}" || true
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

# report_steady NAME UNIT RESTARTS: whether a unit is up, and systemd has not started it again since it had done so
# RESTARTS times; a result of TAP of this name.
report_steady() {
  if [ "$(property "$2" ActiveState)" = active ] && [ "$(property "$2" NRestarts)" = "$3" ]; then
    ok "$1"
  else
    not_ok "$1"
    cause "$2"
  fi
}
