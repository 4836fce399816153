#!/bin/bash
# The server answers, and refuses (400) what comes without a token.
set -euo pipefail
rpm --query --quiet glideinwms-logserver || {
  echo "there is no log server (--variant logserver)"
  exit 77
}
answer=$(curl --silent --show-error --max-time 20 --output /dev/null --write-out '%{http_code}' \
  --upload-file /etc/hostname "https://$(hostname --fqdn)/logserver/put.php?fname=itb.txt")
echo "the log server answers $answer"
[ "$answer" = 400 ]
