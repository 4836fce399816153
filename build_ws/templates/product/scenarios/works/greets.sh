#!/bin/bash
# Exit status 0 passes, 77 skips, 99 fails at once though it is polled, anything else fails. The last line is the reason.
set -euo pipefail
said=$(cat /run/newproduct/greeting)
if [[ $said != "hello from $ITB_HOST_SERVER at "* ]]; then
    echo "it says: $said"
    exit 1
fi
echo "$said"
