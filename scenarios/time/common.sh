# shellcheck shell=bash
# Times of tokens, and what logs say from a moment on; a script takes it with: source "$ITB_SCENARIO_DIR/common.sh"

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
