#!/bin/bash
# Every configuration file the site changed has its change still; TAP.
set -euo pipefail
# shellcheck source=common.sh
source "$ITB_SCENARIO_DIR/common.sh"
# shellcheck source=../lib/tap.sh
source "$ITB_LIB/tap.sh"
settled
mapfile -t files <"$work/changed"

# moved FILE: the configuration file beside one that is gone which has the site's changes now, if the packages bring one.
moved() {
  installed | xargs --no-run-if-empty rpm --query --configfiles | sort --unique |
    grep --fixed-strings --line-regexp --invert-match --file="$work/changed" |
    while read -r other; do
      [ "${other%/*}" != "${1%/*}" ] || grep --files-with-matches 'the site was here' "$other" 2>/dev/null || true
    done | head --lines=1
}

plan "${#files[@]}"
for file in "${files[@]}"; do
  saved=$(find "$file".rpmsave "$file".rpmorig -maxdepth 0 2>/dev/null || true)
  why=''
  if [ ! -e "$file" ] && [ -z "$saved" ] && new=$(moved "$file") && [ -n "$new" ]; then
    comment "the site's changes are in $new now"
  elif [ ! -e "$file" ]; then
    why="the file is gone${saved:+, the changed one is now $saved}"
  elif ! grep --quiet 'the site was here' "$file"; then
    why="the site's changes are lost, the package's own file has taken its place"
    why+="${saved:+; the changed one is now $saved}"
  fi
  clean "configuration $file" "$why"
  [ ! -e "$file.rpmnew" ] || comment "the candidate's is beside it: $file.rpmnew"
done
