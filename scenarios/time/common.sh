# shellcheck shell=bash
# Times of tokens, what logs say from a moment on, services; a script takes it with:
# source "$ITB_SCENARIO_DIR/common.sh"

# end_of FILE: the end of the token in a file, in seconds since the epoch.
end_of() {
  python3 - "$1" <<'PYTHON'
import base64, json, sys
part = open(sys.argv[1]).read().split(".")[1]
print(int(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode())["exp"]))
PYTHON
}

# ends SECONDS: whether a time lies before or after now, in words.
ends() { echo "$( (($1 > $(date +%s))) && echo ends || echo ended) at $(date --utc --date="@$1" '+%T UTC')"; }

marks=/var/lib/itb/time-logs

# logs: the product's logs that tell of its token; ITB_CREDENTIAL_LOGS: globs.
logs() (
  shopt -s globstar nullglob
  # shellcheck disable=SC2086
  printf '%s\n' ${ITB_CREDENTIAL_LOGS:-}
)

# mark_logs: what logs say from now on counts.
mark_logs() { logs | while read -r file; do stat --printf='%s %n\n' "$file" 2>/dev/null || true; done >"$marks"; }

# lines_since_mark: what logs say since then.
lines_since_mark() {
  local file size
  while read -r file; do
    [ -n "$file" ] || continue
    size=$(awk -v file="$file" '$2 == file { print $1 }' "$marks" 2>/dev/null || true)
    [ "$(stat --format=%s "$file")" -ge "${size:-0}" ] || size=0 # a new file in its place
    tail --bytes="+$((${size:-0} + 1))" "$file"
  done < <(logs)
}

# restart_services: all stop, and start in their order, those after HTCondor once it has its schedd: what a product
# makes of one that is late is not asked here. Needs units.sh.
restart_services() {
  local unit number
  # shellcheck disable=SC2154  # units.sh has it
  for ((number = ${#services[@]} - 1; number >= 0; number--)); do systemctl stop "${services[number]}" || true; done
  for unit in "${services[@]}"; do
    systemctl start "$unit" 2>/dev/null || true
    wait_up "$unit" || {
      last_words "$unit"
      return 1
    }
    [ "$unit" != condor ] || wait_schedd
  done
}

wait_schedd() {
  local deadline=$((SECONDS + 60))
  until [ -n "$(condor_status -schedd -af Name 2>/dev/null)" ]; do
    ((SECONDS < deadline)) || {
      echo "condor is up, and has no schedd after 60 s"
      return 1
    }
    sleep 0.3
  done
}
