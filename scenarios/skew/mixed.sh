#!/bin/bash
# A step of itb's library, ITB_STEP, while only the role ITB_UPGRADED has the candidate; says which version each has.
set -euo pipefail
status=0
said=$(bash "$ITB_LIB/$ITB_STEP.sh" 2>&1) || status=$?
before="$ITB_PREVIOUS_VERSION, the version before" candidate="$ITB_PRODUCT_VERSION, the candidate"
if [ "$ITB_UPGRADED" = frontend ]; then
  echo "$said (frontend: $candidate; factory: $before)"
else
  echo "$said (frontend: $before; factory: $candidate)"
fi
exit "$status"
