#!/bin/bash
# Makes the self-signed certificate ssl.conf names, as EL's script of this name.
set -euo pipefail

name=$(hostname -f 2>/dev/null || hostname)
umask 077
openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
    -keyout /etc/pki/tls/private/localhost.key -out /etc/pki/tls/certs/localhost.crt 2>/dev/null
chmod 0644 /etc/pki/tls/certs/localhost.crt
