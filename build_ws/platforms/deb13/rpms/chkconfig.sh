#!/bin/bash
# chkconfig as EL's deals with systemd units (chkconfig.c of fedora-sysv/chkconfig): NAME, NAME on and NAME off of a
# unit are forwarded to systemctl; everything else is about init scripts only, and leaves units as they are. Init
# scripts themselves are not started on this platform, and are refused.
set -euo pipefail

scripts=/etc/rc.d/init.d
usage() {
    echo "usage:   chkconfig [--list] [--type <type>] [name]
         chkconfig --add <name>
         chkconfig --del <name>
         chkconfig --override <name>
         chkconfig [--level <levels>] [--type <type>] <name> <on|off|reset|resetpriorities>" >&2
    exit 1
}
refuse() {
    if [ -e "$scripts/$1" ]; then
        echo "chkconfig: $scripts/$1: deb13 starts no init scripts" >&2
    else
        echo "error reading information on service $1: No such file or directory" >&2
    fi
    exit 1
}
has_unit() { [ -e "/usr/lib/systemd/system/$1.service" ] || [ -e "/etc/systemd/system/$1.service" ]; }
forward() {
    has_unit "$2" || return 0
    echo "Note: Forwarding request to 'systemctl $1 $2.service'." >&2
    exec systemctl "$1" "$2.service"
}

action='' levels='' words=()
while [ "$#" -gt 0 ]; do
    case $1 in
        --add | --del | --override | --list) action=${1#--} ;;
        --level | --levels) levels=${2:?} && shift ;;
        --level=* | --levels=*) levels=${1#*=} ;;
        --type) shift ;;
        --type=*) ;;
        --no-redirect) has_unit() { false; } ;;
        -*) usage ;;
        *) words+=("$1") ;;
    esac
    shift
done
name=${words[0]:-} state=${words[1]:-}
case $action in
    add | del | override)
        if [ "${#words[@]}" -ne 1 ]; then usage; fi
        if [ "$action" = override ]; then exit 0; fi
        refuse "${name##*/}"
        ;;
    list)
        if [ -z "$name" ]; then exit 0; fi # of init scripts, and there are none
        has_unit "$name" && exit 1
        refuse "$name"
        ;;
    *)
        [ -n "$name" ] || exit 0
        case $state in
            '') [ -n "$levels" ] || forward is-enabled "$name"; exit 1 ;;
            on) forward enable "$name"; refuse "$name" ;;
            off) forward disable "$name"; refuse "$name" ;;
            reset | resetpriorities) refuse "$name" ;;
            *) usage ;;
        esac
        ;;
esac
