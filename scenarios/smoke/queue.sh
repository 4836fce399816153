#!/bin/bash
# Evidence: what the CE holds and held.
set -uo pipefail
# shellcheck source=../lib/htcondor.sh
source "$ITB_LIB/htcondor.sh"
ce_q -nobatch
ce_history -limit 20
