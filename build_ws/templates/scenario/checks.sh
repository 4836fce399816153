#!/bin/bash
# Prints TAP: a plan, then a line for each check. Replace the checks by yours.
set -euo pipefail

result() {  # NUMBER NAME COMMAND...: one check
    local number=$1 name=$2
    shift 2
    if "$@"; then echo "ok $number - $name"; else echo "not ok $number - $name"; fi
}

echo 1..2
result 1 "no unit has failed" test -z "$(systemctl --failed --plain --no-legend)"
result 2 "the product has a version" test -n "$ITB_PRODUCT_VERSION"
