# shellcheck shell=bash
# What the scripts of this folder share.
# ITB_INSTALL_<ROLE>, ITB_SERVICES_<ROLE>: packages the roles install and their services.

work=/var/lib/itb/upgrade

# offered REPOSITORY: names of its packages. The first use of a repository is asked to trust its key.
offered() {
  dnf --quiet --assumeyes --repo="$1" repoquery --queryformat '%{name}\n' | sed '/^$/d' | sort --unique
}

# words PREFIX: every word of all variables that begin with it, once, in order; the CE is not the product's.
words() {
  local variable
  for variable in $(compgen -v "$1"); do
    # shellcheck disable=SC2086  # a list of words
    [ "$variable" = "$1CE" ] || printf '%s\n' ${!variable}
  done | awk '!seen[$0]++'
}

# installed: names of the product's packages that are installed here.
installed() {
  { offered "${ITB_PREVIOUS_REPO:?}" && offered "${ITB_CANDIDATE_REPO:?}"; } | sort --unique |
    comm -12 - <(rpm --query --all --queryformat '%{NAME}\n' | sort --unique)
}

# settled: leaves the step with a skip unless the previous version was installed.
settled() {
  [ -e "$work/installed" ] || {
    echo "the previous version is not installed"
    exit 77
  }
}
