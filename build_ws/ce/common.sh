# shellcheck shell=bash
# What makes a Compute Entrypoint of either kind; its script takes it with:
# source "$(dirname "$0")/common.sh"
#
# ITB_TOKEN_ISSUERS: the accepted issuers; ITB_CE_CORES: the number of workers; ITB_TRACES: a folder.

# add_users: the accounts that jobs of a CE run as, and the folder in which a user's job leaves a trace.
add_users() {
    local user
    for user in gwms osg fermilab; do
        id -u "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
    done
    [ -z "${ITB_TRACES:-}" ] || install --directory --mode=1777 "$ITB_TRACES"
}

# map_issuers FILE: a map file by which whoever comes with a token of an accepted issuer is user gwms.
map_issuers() {
    local issuer pattern
    : >"$1"
    for issuer in ${ITB_TOKEN_ISSUERS:-https://tokens.glideinwms.org/itb}; do
        pattern=$(printf '%s' "$issuer" | sed 's/[][\.*^$+?(){}|/]/\\&/g')
        echo "SCITOKENS /^$pattern,.*/ gwms" >>"$1"
    done
}

# workers: configuration of a pool of one host, with workers that claim more processors than the host has.
workers() {
    cat <<EOF
CONDOR_HOST = \$(FULL_HOSTNAME)
DAEMON_LIST = MASTER, COLLECTOR, NEGOTIATOR, SCHEDD, STARTD
# What the workers offer is pretended, pilots do next to nothing.
NUM_CPUS = ${ITB_CE_CORES:-8}
MEMORY = 16384
SLOT_TYPE_1 = cpus=1
SLOT_TYPE_1_PARTITIONABLE = False
NUM_SLOTS_TYPE_1 = ${ITB_CE_CORES:-8}
RUNBENCHMARKS = False
FILETRANSFER_PLUGINS = \$(LIBEXEC)/curl_plugin
START = True
SUSPEND = False
PREEMPT = False
KILL = False
# A test-bed has no time to lose.
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
EOF
}
