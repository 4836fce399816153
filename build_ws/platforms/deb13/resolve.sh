#!/bin/bash
# Prints the closure of everything the platform is made from, one package per
# line: file name, size and checksum as the mirror's signed index says.
set -euo pipefail

cd /mnt/definition
# shellcheck source=/dev/null
. ./apt.sh
apt-get update --error-on=any >&2

: >/tmp/empty
mapfile -t base < <(dpkg-query --show --showformat '${Package}\n')
mapfile -t wanted < <(packages_of bare.packages repo.packages)
# With an empty status everything counts, also what the base has already.
apt-get --print-uris --option Dir::State::status=/tmp/empty install "${base[@]}" "${wanted[@]}" |
    awk '{print $2, $3, $4}' | sort
