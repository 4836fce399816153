#!/bin/bash
# Evidence: what the CE holds and held.
set -uo pipefail
# shellcheck source=../lib/htcondor.sh
source "$ITB_LIB/htcondor.sh"
# What jobs say of themselves may hold any line: indented, none of them is a result of this step.
{
  ce_q -nobatch
  ce_history -limit 20
} | sed 's/^/  /'
