#!/bin/bash
# What EL's scriptlets and file triggers call (src/rpm/systemd-update-helper.in of redhat-plumbers/systemd-rhel9), which
# Debian's systemd lacks: a service is marked while its packages are replaced, and restarted once all are and systemd
# has read the new units.
set -euo pipefail

action=${1:?}
shift
is_up() { [ -d /run/systemd/system ]; }

case $action in
    install-system-units) systemctl --no-reload preset "$@" ;;
    install-user-units) systemctl --no-reload preset --global "$@" ;;
    remove-system-units)
        if is_up; then now=(--now); else now=(); fi
        systemctl --no-reload disable "${now[@]}" --no-warn "$@"
        ;;
    remove-user-units) systemctl --global disable --no-warn "$@" ;;
    mark-restart-system-units | mark-reload-system-units)
        is_up || exit 0
        mark=${action#mark-}
        for unit in "$@"; do
            systemctl set-property "$unit" "Markers=+needs-${mark%%-*}" || :
        done
        ;;
    mark-restart-user-units | mark-reload-user-units) ;; # no users log in to hosts of a testbed
    system-reload) is_up || exit 0; systemctl daemon-reload ;;
    system-restart) is_up || exit 0; systemctl reload-or-restart --marked ;;
    system-reload-restart)
        is_up || exit 0
        systemctl daemon-reload
        systemctl reload-or-restart --marked
        ;;
    user-*) ;;
    *) echo "Unknown verb '$action'" >&2; exit 3 ;;
esac
