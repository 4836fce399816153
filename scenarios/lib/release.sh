#!/bin/bash
# On the CE: the jobs of this scenario that run there end.
set -euo pipefail
# Not beside the traces: anybody may put a link there, and root would write through it.
install --directory --mode=0755 "$ITB_TRACES.end"
touch "$ITB_TRACES.end/$ITB_TRACE_ID"
