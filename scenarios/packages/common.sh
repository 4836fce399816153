# shellcheck shell=bash
# What the scripts of this folder share.

# candidates: names of the packages in the candidate's repository.
candidates() {
  dnf --quiet --repo="${ITB_CANDIDATE_REPO:?}" repoquery --queryformat '%{name}\n' | sed '/^$/d' | sort --unique
}

# installed: those of them that are installed here.
installed() {
  candidates | xargs --no-run-if-empty rpm --query --queryformat '%{NAME}\n' | grep --invert-match ' is not installed'
}

# What rpm itself says of a failure. A script may say "error: " or "warning: ", too, and succeed.
rpm_says='scriptlet failed|Error in [A-Z]+ scriptlet|^(warning|error): (%[a-z]+\(|(user|group) .* does not exist'
rpm_says+='|unpacking of archive failed|[^ ]+: (remove|unlink|cpio|install)|(file|directory) .*: (remove|unlink))'

# unexpanded: lines of the packages' scripts that begin with %. To a shell that is a job, of which it has none: it says
# so, goes on, and the script may end well.
unexpanded() {
  local name
  while read -r name; do
    rpm --query --scripts "$name" 2>/dev/null |
      sed --quiet "s/^[[:blank:]]*\(%[A-Za-z_{].*\)/a script of $name has a macro that does not exist: \1/p"
  done < <(candidates)
}

# scriptlets FILE: what the packages' own scripts did wrong, by dnf's output, each failure in a line
# that says what it printed; dnf itself ends with status 0 all the same.
scriptlets() {
  ! grep --quiet --extended-regexp ': line [0-9]+: fg: no job control' "$1" || unexpanded
  python3 "$ITB_LIB/dnf_log.py" scriptlets "$1"
  grep --extended-regexp "$rpm_says" "$1" || true
}
