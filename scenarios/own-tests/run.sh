#!/bin/bash
# Runs the command of the product's own tests in a copy of their folder, as a user who owns it. That some have failed
# is what their results say; any other end of the command is a failure of its own.
set -euo pipefail
user=${ITB_OWN_TESTS_USER:?} out=/var/log/itb-own-tests.out
folder=$(mktemp --directory)
trap 'rm --recursive --force "$folder"' EXIT
cp --recursive "${ITB_OWN_TESTS:?}/." "$folder"
group=$(id --group --name "$user")
chown --recursive "$user:$group" "$folder" "$ITB_RESULTS"
status=0
runuser --user="$user" -- env --chdir="$folder/${ITB_OWN_TESTS_FOLDER:?}" HOME="$folder" USER="$user" LOGNAME="$user" \
  PYTHONDONTWRITEBYTECODE=1 bash -c "${ITB_OWN_TESTS_COMMAND:?}" >"$out" || status=$?
grep --quiet '^1\.\.0' "$out" || cat "$out" # an empty plan would be a skip
has_failures() {
  grep --quiet '^not ok' "$out" || grep --quiet --recursive --extended-regexp '<(failure|error)\b' "$ITB_RESULTS"
}
if [ "$status" -eq 0 ] && ! grep --quiet '^ok' "$out" && [ -z "$(ls "$ITB_RESULTS")" ]; then
  echo "the command has run no test: $ITB_OWN_TESTS_COMMAND"
  exit 1
fi
if [ "$status" -eq 1 ] && has_failures; then exit 0; fi
[ "$status" -eq 0 ] || echo "the command ends with exit status $status: $(tail --lines=1 "$out")"
exit "$status"
