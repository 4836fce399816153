#!/bin/bash
# EL's update-ca-trust: certificates in the anchors directories, PEM or DER, become trusted by all users, whatever the
# umask is (update-ca-trust(8)).
set -euo pipefail
umask 022

case ${1:-extract} in
    extract) ;;
    check | enable | disable | force-enable | force-disable) exit 0 ;; # of no effect any more, as on EL
    *) echo "usage: update-ca-trust [extract]" >&2 && exit 1 ;;
esac
local=/usr/local/share/ca-certificates/el-anchors
rm -rf "$local"
mkdir -p "$local"
for file in /etc/pki/ca-trust/source/anchors/* /usr/share/pki/ca-trust-source/anchors/*; do
    [ -f "$file" ] || continue
    name=${file#/}
    target=$local/${name//[^A-Za-z0-9._-]/_}.crt # of the whole path: ca.pem and ca.crt are two
    if grep --quiet -- '-----BEGIN' "$file"; then
        install -m 0644 "$file" "$target"
    else
        openssl x509 -inform DER -in "$file" -out "$target" 2>/dev/null || echo "update-ca-trust: $file is no certificate" >&2
    fi
done
exec /usr/sbin/update-ca-certificates --fresh >/dev/null
