#!/bin/bash
# The factory's collector has a request for pilots.
# ITB_REQUEST_ADS: constraint for the ads of the product that ask for pilots now.
set -euo pipefail
# shellcheck source=htcondor.sh
source "$ITB_LIB/htcondor.sh"
if [ -z "${ITB_REQUEST_ADS:-}" ]; then
  echo "the product does not say how a request looks (ITB_REQUEST_ADS)"
  exit 77
fi
names=$(condor_status -any -constraint "$ITB_REQUEST_ADS" -af Name)
if [ -n "$names" ]; then
  echo "request $(in_line <<<"$names")"
  exit 0
fi
# A request ends as soon as it is served: pilots in the queue tell of it too.
there=$(pilots JobStatus)
if [ -n "$there" ]; then
  echo "no request any more; pilots: $(tally <<<"$there")"
  exit 0
fi
kinds=$(condor_status -any -af MyType | sort --unique | in_line)
echo "no request for pilots in the factory's collector, only ads of $kinds"
exit 1
