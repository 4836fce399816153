#!/bin/bash
# The host that serves: web server and repository tools. Packages of the platform itself come from public mirrors.
set -euo pipefail

dnf --assumeyes --quiet install nginx createrepo_c rpm-sign gnupg2 jq
# A server of its own on port 80 would stand in the way of the repositories'.
sed --in-place '/^    server {/,/^    }/d' /etc/nginx/nginx.conf
mkdir -p /srv/repo
# Not everywhere; without it its case is skipped.
dnf --assumeyes --quiet install rpmlint || echo "rpmlint is not to be had"
dnf --quiet clean all
rm -rf /var/cache/dnf /var/log/dnf* /var/log/hawkey.log /tmp/*
