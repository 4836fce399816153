#!/bin/bash
# usage: keys.sh PACKAGE...: the checksum of each key, and the name of each token and database, below /var that
# services of these packages have: what a site cannot make again. Tokens are renewed all the time.
set -euo pipefail
rpm --query --list "$@" | grep '^/var/' | sort --unique | while read -r folder; do
  [ -d "$folder" ] || continue
  find "$folder" -xdev -type f \( -name '*.pem' -o -name '*.key' -o -name '*.password' \) \
    -exec sha256sum {} +
  find "$folder" -xdev -type f \( -name '*token' -o -name '*.rrd' -o -name '*.db' -o -name '*.sqlite' \) -printf 'there %p\n'
done | sort --unique
