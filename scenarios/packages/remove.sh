#!/bin/bash
# The candidate's packages leave: no complaint of their scripts, no file, unit, process or mount stays; TAP.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
mapfile -t names < <(installed)
if [ "${#names[@]}" -eq 0 ]; then
  echo "no package of the product is installed on $ITB_ROLE"
  exit 77
fi
log=/var/log/itb-remove.log
list=$(mktemp)
rpm --query --list "${names[@]}" | grep '^/' | sort --unique >"$list"
mapfile -t units < <(sed --quiet --regexp-extended 's#^(/usr)?/lib/systemd/system/([^/]+\.(service|timer|socket|path))$#\2#p' "$list")
# What runs when its package goes is the hard case. Unconfigured, not every service can.
running=()
for unit in "${units[@]}"; do
  case $unit in *@.*) continue ;; esac
  systemctl enable --quiet "$unit" 2>/dev/null || true
  if timeout 20 systemctl start "$unit" 2>/dev/null; then running+=("$unit"); fi
done

lines() { [ $# -eq 0 ] || printf '%s\n' "$@"; }

plan 5
status=0
dnf --assumeyes --setopt=clean_requirements_on_remove=False remove "${names[@]}" >"$log" 2>&1 || status=$?
left=$(rpm --query --queryformat '%{NAME}\n' "${names[@]}" | grep --invert-match ' is not installed' || true)
[ "$status" -eq 0 ] || left="$(tail --lines=1 "$log")"$'\n'"$left"
# What a user changed is kept beside as .rpmsave, by rpm's design.
wrong=$(scriptlets "$log" | grep --invert-match 'saved as .*\.rpmsave' || true)
clean "the packages' scripts succeed" "$wrong"
# A package whose script fails stays, with all it has: that is one defect and not five.
wrong=$(head --lines=1 <<<"$wrong")
consequence "$wrong" "dnf removes all packages" "$left"

stay=()
while read -r path; do
  [ -e "$path" ] || [ -L "$path" ] || continue
  content=''
  if [ -d "$path" ] && [ ! -L "$path" ]; then
    # rpm keeps a directory with something in it that no package brought: state
    # and logs below /var and /etc. Below /usr nobody has anything to write.
    content=$(find "$path" -mindepth 1 -maxdepth 1 -printf '%f ')
    [[ -z $content || $path == /usr/* ]] || continue
  fi
  rpm --query --file "$path" >/dev/null 2>&1 || stay+=("$path${content:+, with $content}")
done <"$list"
# Links to what was theirs that a script has made, as alternatives does.
while read -r path target; do
  ! grep --quiet --line-regexp --fixed-strings -- "$target" "$list" || stay+=("$path, a link to $target")
done < <(find /etc/alternatives /usr/bin /usr/sbin /usr/lib /usr/share -xdev -type l -xtype l -lname '/*' -printf '%p %l\n' 2>/dev/null)
consequence "$wrong" "no file stays" "$(lines "${stay[@]}")"

stay=()
for unit in "${units[@]}"; do
  [ "$(systemctl show --value --property=ActiveState "$unit" 2>/dev/null)" != active ] || stay+=("$unit is active")
  links=$(find /etc/systemd/system -name "$unit" -lname '*')
  [ -z "$links" ] || stay+=("$unit is enabled: $links")
done
consequence "$wrong" "no unit stays" "$(lines "${stay[@]}")"
comment "were running when the packages went: ${running[*]:-none}"

stay=()
for process in /proc/[0-9]*; do
  mapfile -d '' -t words 2>/dev/null <"$process/cmdline" || continue
  for word in "${words[@]:0:3}"; do
    if [[ $word == /* ]] && grep --quiet --line-regexp --fixed-strings -- "$word" "$list"; then
      stay+=("${process#/proc/}: ${words[*]}")
      break
    fi
  done
done
consequence "$wrong" "no process stays" "$(lines "${stay[@]}")"
rm --force "$list"
comment "$(tail --lines=40 "$log")"
