# shellcheck shell=bash
# Keeps the host that nothing is installed on bare; a script takes it with: source "$ITB_LIB/bare.sh"
#
# Scenarios that use this host come one after the other. What one of them leaves must not be the next one's failure.

spoiled=/var/lib/itb/not-bare

# packages_of REPOSITORY: "name name-version-release" of its packages. It is asked once: a run's repositories do not change.
packages_of() {
  local file=/var/lib/itb/offered.$1
  [ -s "$file" ] || {
    dnf --quiet --assumeyes --repo="$1" repoquery --queryformat '%{name} %{name}-%{version}-%{release}\n' |
      sed '/^ *$/d' >"$file.new"
    mv "$file.new" "$file"
  }
  cat "$file"
}

# products: the packages of the candidate, or of the version before, that are here.
products() {
  local repository
  for repository in "${ITB_CANDIDATE_REPO:?}" ${ITB_PREVIOUS_REPO:-}; do
    packages_of "$repository" | cut --delimiter=' ' --fields=1
  done | sort --unique | comm -12 - <(rpm --query --all --queryformat '%{NAME}\n' | sort --unique)
}

# make_bare: removes by force what would not go; says so, and remembers it where not even that helps.
make_bare() {
  local left
  left=$(products | paste --serial --delimiters=' ')
  [ -n "$left" ] || return 0
  # shellcheck disable=SC2086  # a list of names
  rpm --erase --nodeps --noscripts --allmatches $left || true
  echo "removed by force, without their scripts: $left"
  left=$(products | paste --serial --delimiters=' ')
  [ -z "$left" ] || echo "$left of scenario $ITB_SCENARIO could not be removed" | tee "$spoiled"
}

# only_bare: leaves the step with a skip on a host that an earlier scenario has left otherwise.
only_bare() {
  [ ! -e "$spoiled" ] || {
    echo "this host is no longer bare: $(cat "$spoiled")"
    exit 77
  }
}

# cause_of_dnf FILE: the line of what dnf printed that says why.
cause_of_dnf() {
  {
    python3 "$ITB_LIB/dnf_log.py" scriptlets "$1"
    python3 "$ITB_LIB/dnf_log.py" refused "$1"
    tail --lines=1 "$1"
  } | head --lines=1
}
