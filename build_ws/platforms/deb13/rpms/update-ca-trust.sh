#!/bin/bash
# EL's update-ca-trust: certificates in the anchors directory become trusted.
set -euo pipefail

anchors=/etc/pki/ca-trust/source/anchors
local=/usr/local/share/ca-certificates/el-anchors

rm -rf "$local"
mkdir -p "$local"
for file in "$anchors"/*; do
    [ -f "$file" ] || continue
    name=$(basename "$file")
    cp "$file" "$local/${name%.*}.crt"
done
exec /usr/sbin/update-ca-certificates --fresh >/dev/null
