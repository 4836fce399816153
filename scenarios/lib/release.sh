#!/bin/bash
# On the CE: the jobs of this scenario that run there end.
set -euo pipefail
touch "$ITB_TRACES/end.$ITB_TRACE_ID"
