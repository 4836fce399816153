#!/bin/bash
# This host's packages of the candidate give way to those of the version before, which is configured as the candidate
# was and started. What services have written stays: it is a used host.
set -euo pipefail
# shellcheck source=../lib/units.sh
source "$ITB_LIB/units.sh"
work=/var/lib/itb/upgrade
log=/var/log/itb-used.log
variable=ITB_INSTALL_${ITB_ROLE^^}
configure=ITB_CONFIGURE_${ITB_ROLE^^}
read -r -a wanted <<<"${!variable:-}"
read -r -a names <<<"${ITB_PACKAGES:-}"
rm --recursive --force "$work"
mkdir --parents "$work"
for unit in "${services[@]}"; do systemctl stop "$unit"; done
mapfile -t files < <(rpm --query --configfiles "${names[@]}" | grep '^/' | sort --unique)
dnf --assumeyes --quiet --setopt=clean_requirements_on_remove=False remove "${names[@]}" >"$log" 2>&1
for file in "${files[@]}"; do rm --force "$file" "$file".rpmsave "$file".rpmnew; done
status=0
dnf --assumeyes --setopt=install_weak_deps=False --disablerepo="$ITB_CANDIDATE_REPO" \
  --enablerepo="${ITB_PREVIOUS_REPO:?}" install "${wanted[@]}" >"$log" 2>&1 || status=$?
cat "$log"
if [ "$status" -ne 0 ]; then
  echo "the version before does not install: $(python3 "$ITB_LIB/dnf_log.py" refused "$log")"
  exit 77
fi
script=${!configure:-}
if [ -n "$script" ]; then
  interpreter=bash
  [[ $script != *.py ]] || interpreter=python3
  "$interpreter" "$script" || {
    echo "the version before cannot be configured as the candidate is"
    exit 77
  }
fi
systemctl daemon-reload
for unit in "${services[@]}"; do
  systemctl enable --quiet "$unit"
  systemctl start "$unit" || {
    echo "$unit of the version before does not start"
    exit 77
  }
done
printf '%s\n' "${services[@]}" | tee "$work/enabled" >"$work/running"
rpm --query --queryformat '%{NAME} %{RELEASE}\n' --all >"$work/all"
mapfile -t here < <(rpm --query --queryformat '%{NAME}\n' "${names[@]}" "${wanted[@]}" | grep --invert-match ' is not' | sort --unique)
printf '%s\n' "${here[@]}" >"$work/installed"
bash "$ITB_SCENARIO_DIR/keys.sh" "${here[@]}" >"$work/keys"
echo "${here[*]} $ITB_PREVIOUS_VERSION"
