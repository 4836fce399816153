#!/bin/bash
# The pilot: a worker of the user pool inside one job of the CE. It starts the
# HTCondor installed on the worker with a configuration of its own, serves jobs,
# and leaves when nobody has claimed it for a while.
# usage: pilot.sh SITE FRONTEND POOL IDLE_SECONDS    (pilot_token beside it)
set -euo pipefail
site=$1 frontend=$2 pool=$3 idle=$4
here=$PWD

# Settings of the CE's own HTCondor that came with the job must not reach ours.
for name in $(compgen -e); do
    case $name in _CONDOR_*) unset "$name" ;; esac
done

mkdir -p work/log work/execute work/spool work/lock work/tokens.d
install -m 0600 pilot_token work/tokens.d/pool
rm pilot_token
{
    # Where the worker's HTCondor is installed, it knows best itself.
    for name in RELEASE_DIR BIN SBIN LIB LIBEXEC SHARE; do
        echo "$name = $(condor_config_val "$name")"
    done
    cat <<EOF
LOCAL_DIR = $here/work
LOG = \$(LOCAL_DIR)/log
EXECUTE = \$(LOCAL_DIR)/execute
SPOOL = \$(LOCAL_DIR)/spool
LOCK = \$(LOCAL_DIR)/lock
RUN = \$(LOCAL_DIR)
DAEMON_LIST = MASTER, STARTD
CONDOR_HOST = $pool
COLLECTOR_HOST = $pool
USE_SHARED_PORT = False
USE_PROCD = False
use security:recommended_v9_0
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, IDTOKENS
SEC_TOKEN_DIRECTORY = $here/work/tokens.d
STARTD_NAME = pilot_$$
# One slot that is either claimed or free: the frontend counts the free ones.
NUM_CPUS = 1
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = False
NUM_SLOTS_TYPE_1 = 1
STARTER_ALLOW_RUNAS_OWNER = False
RUNBENCHMARKS = False
# The one plugin that answers at once: asking all of them what they can do takes seconds.
FILETRANSFER_PLUGINS = \$(LIBEXEC)/curl_plugin
START = True
SUSPEND = False
PREEMPT = False
KILL = False
# A pool that was restarted sees its pilots again soon.
UPDATE_INTERVAL = 5
STARTD_NOCLAIM_SHUTDOWN = $idle
MASTER_NEW_BINARY_RESTART = NEVER
PocketSite = "$site"
PocketFrontend = "$frontend"
STARTD_ATTRS = \$(STARTD_ATTRS) PocketSite PocketFrontend
STARTER_JOB_ENVIRONMENT = "POCKET_SITE=$site"
EOF
} > work/condor_config
export CONDOR_CONFIG=$here/work/condor_config

echo "pilot: $(date -u +%FT%TZ) site $site joins $pool"
condor_master -f &
master=$!
# Told to go, the worker goes at once and its jobs return to the queue.
trap 'kill -QUIT "$master"' TERM INT
status=0
wait "$master" || status=$?
wait "$master" 2>/dev/null || true
echo "pilot: $(date -u +%FT%TZ) worker ended with status $status"
for log in work/log/*Log; do
    echo "== ${log##*/}"
    tail -n 40 "$log"
done >&2
exit "$status"
