# shellcheck shell=bash
# Puts one version of the product in the place of another on the host of a role, as a new installation: configured as
# itb has configured the candidate, and started. A script takes it with: source "$ITB_LIB/version.sh"
# shellcheck source=units.sh
source "$ITB_LIB/units.sh"
# shellcheck source=bare.sh
source "$ITB_LIB/bare.sh"

work=/var/lib/itb/upgrade
log=/var/log/itb-upgrade.log

# data_of NAME...: the folders below /var that these packages have; logs are evidence and stay.
data_of() { rpm --query --list "$@" | grep '^/var/' | grep --invert-match '^/var/log/' | sort --unique; }

# leave: the product's packages go, whichever version they are of, with their configuration and what services have
# written. Tokens stay: others have put them there.
leave() {
  local names files folders unit why='' file folder
  for unit in "${services[@]}"; do systemctl stop "$unit" || true; done
  mapfile -t names < <(products)
  rm --recursive --force "$work"
  mkdir --parents "$work"
  [ "${#names[@]}" -gt 0 ] || return 0
  mapfile -t files < <(rpm --query --configfiles "${names[@]}" | grep '^/' | sort --unique)
  mapfile -t folders < <(data_of "${names[@]}")
  dnf --assumeyes --setopt=clean_requirements_on_remove=False remove "${names[@]}" >"$log" 2>&1 || why=$(cause_of_dnf "$log")
  make_bare
  for file in "${files[@]}"; do rm --force "$file" "$file".rpmsave "$file".rpmnew; done
  # Folders that others have, too, are not the product's.
  { rpm --query --file "${folders[@]}" 2>/dev/null || true; } |
    sed --quiet 's/^file \(.*\) is not owned by any package$/\1/p' |
    while read -r folder; do
      [ ! -d "$folder" ] || find "$folder" -xdev -depth ! -path '*token*' \( ! -type d -o -empty \) -delete
    done
  [ -z "$why" ] || {
    echo "${names[*]} cannot be removed: $why"
    return 1
  }
  echo "${names[*]}"
}

# enter OPTION_OF_DNF...: what the role asks for is installed, configured, and its services are started.
enter() {
  local variable=ITB_INSTALL_${ITB_ROLE^^} configure=ITB_CONFIGURE_${ITB_ROLE^^} wanted script interpreter=bash unit
  read -r -a wanted <<<"${!variable:-}"
  dnf --assumeyes --setopt=install_weak_deps=False --setopt=keepcache=True "$@" install "${wanted[@]}" >"$log" 2>&1 || {
    cat "$log"
    echo "it does not install: $(cause_of_dnf "$log")"
    return 1
  }
  script=${!configure:-}
  [[ $script != *.py ]] || interpreter=python3
  [ -z "$script" ] || "$interpreter" "$script" || {
    echo "it cannot be configured as the candidate is"
    return 1
  }
  systemctl daemon-reload
  for unit in "${services[@]}"; do
    systemctl enable --quiet "$unit"
    systemctl start "$unit" || {
      echo "$unit does not start"
      return 1
    }
  done
  mapfile -t names < <(products)
  rpm --query --queryformat '%{NAME}-%{VERSION}-%{RELEASE}\n' "${names[@]}" | paste --serial --delimiters=' '
}
