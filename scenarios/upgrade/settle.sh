#!/bin/bash
# What a site does with a new host: changes configuration, enables services, starts them.
# Unconfigured, not every service can run: those that do have to after the upgrade.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
settled

: >"$work/changed"
xargs rpm --query --configfiles <"$work/installed" | sort --unique >"$work/configuration"
while read -r file; do
  [ -f "$file" ] || continue
  case $file in
  *.json) continue ;; # nowhere to put a remark
  *.xml | *.xslt) echo '<!-- the site was here -->' >>"$file" ;;
  *) echo '# the site was here' >>"$file" ;;
  esac
  echo "$file" >>"$work/changed"
done <"$work/configuration"

: >"$work/running"
: >"$work/enabled"
for unit in $(words ITB_SERVICES_); do
  systemctl enable --quiet "$unit" && echo "$unit" >>"$work/enabled"
  timeout 30 systemctl start "$unit" || true
done
sleep 3 # what dies of its configuration has done so by then
while read -r unit; do
  if systemctl is-active --quiet "$unit"; then
    echo "$unit" >>"$work/running"
  else
    echo "$unit does not run unconfigured"
  fi
done <"$work/enabled"
echo "$(wc --lines <"$work/changed") files changed; running: $(paste --serial --delimiters=' ' "$work/running")"
