#!/bin/bash
# Makes a plain HTCondor a compute element: a schedd on port 9619 that takes
# SciTokens, and a few workers. For platforms without HTCondor-CE. Runs as root
# before condor is started, and again while it runs when there is another issuer.
# ITB_CE_ADDRESS (host:port) is the tokens' audience; common.sh has the rest.
set -euo pipefail
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"
address=${ITB_CE_ADDRESS:?}
port=${address##*:}
mapfile=/etc/condor/itb.mapfile

add_users
map_issuers "$mapfile"
{
    workers
    cat <<EOF
COLLECTOR_HOST = $address
SHARED_PORT_PORT = $port

# Who comes with a token is mapped by its issuer; who is on the host, by FS.
SCHEDD.SEC_WRITE_AUTHENTICATION_METHODS = FS, SCITOKENS
SCHEDD.SEC_READ_AUTHENTICATION_METHODS = FS, SCITOKENS
COLLECTOR.SEC_WRITE_AUTHENTICATION_METHODS = FS, SCITOKENS
COLLECTOR.SEC_READ_AUTHENTICATION_METHODS = FS, SCITOKENS
SCITOKENS_SERVER_AUDIENCE = \$(COLLECTOR_HOST)
CERTIFICATE_MAPFILE = $mapfile
CERTIFICATE_MAPFILE_ASSUME_HASH_KEYS = True
AUTH_SSL_SERVER_CERTFILE = /etc/grid-security/hostcert.pem
AUTH_SSL_SERVER_KEYFILE = /etc/grid-security/hostkey.pem

# The workers live and die with this host: after a restart no job is out there to
# reconnect to, so it starts anew instead of waiting for its lease to run out.
JOB_TRANSFORM_NAMES = WithoutLease
JOB_TRANSFORM_WithoutLease @=end
    DELETE JobLeaseDuration
@end

SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
UPDATE_INTERVAL = 15
EOF
} >/etc/condor/config.d/50-itb-ce.conf

if systemctl --quiet is-active condor; then
    condor_reconfig
fi
