#!/bin/bash
# dpkg-query for maintainer scripts: knows where the control files of packages
# are that rpm installed; the rest is dpkg's own.
set -euo pipefail

info=/var/lib/dpkg/info
if [ "${1:-}" = --control-path ] && [ "$#" -eq 3 ] && ! /usr/bin/dpkg-query --show "$2" >/dev/null 2>&1; then
    for file in "$info/$2.$3" "$info/$2:"*".$3"; do
        [ ! -e "$file" ] || echo "$file"
    done
    exit 0
fi
exec /usr/bin/dpkg-query "$@"
