#!/bin/bash
# Every job carries the worker's site, as ITB_SITE_ATTRIBUTE names it.
set -euo pipefail
if [ -z "${ITB_SITE_ATTRIBUTE:-}" ]; then
  echo "the product does not say how workers name their site (ITB_SITE_ATTRIBUTE)"
  exit 77
fi
attribute=MachineAttr${ITB_SITE_ATTRIBUTE}0
sites=$(condor_history "$(cat ~/itb-smoke/cluster)" -limit 10 -af "$attribute" | sort | uniq --count)
echo "$sites"
if grep --quiet -w undefined <<<"$sites"; then
  echo "a job has no attribute $attribute" >&2
  exit 1
fi
echo "$ITB_SITE_ATTRIBUTE: $(awk '{print $2 " x" $1}' <<<"$sites" | paste --serial --delimiters=' ')"
