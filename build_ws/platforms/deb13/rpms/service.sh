#!/bin/bash
# service as EL's (usr/sbin/service of fedora-sysv/initscripts): init scripts and legacy actions of a package first,
# basic actions by systemctl, nothing else.
set -euo pipefail

name=${1:-} action=${2:-}
[ "$#" -gt 0 ] || { echo "Usage: service < option > | --status-all | [ service_name [ command | --full-restart ] ]" >&2; exit 1; }
cd /
script=/etc/rc.d/init.d/$name legacy=/usr/libexec/initscripts/legacy-actions/$name/$action
if [ "$name" = --status-all ]; then
    exit 0 # of init scripts only, and deb13 starts none
elif [ -f "$script" ]; then
    exec env -i PATH="$PATH" TERM="${TERM:-dumb}" "$script" "${@:2}"
elif [ -n "$action" ] && [ -x "$legacy" ]; then
    exec env -i PATH="$PATH" TERM="${TERM:-dumb}" "$legacy" "${@:3}"
fi
case $action in
    start | stop | restart | try-restart | reload | reload-or-restart | try-reload-or-restart | force-reload | status | condrestart)
        unit=$(systemd-escape --mangle "$name")
        echo "Redirecting to /bin/systemctl $action $unit" >&2
        exec systemctl "$action" "$unit" "${@:3}"
        ;;
esac
echo "The service command supports only basic LSB actions (start, stop, restart, try-restart, reload," \
    "reload-or-restart, try-reload-or-restart, force-reload, status, condrestart). For other actions, please try to" \
    "use systemctl." >&2
exit 2
