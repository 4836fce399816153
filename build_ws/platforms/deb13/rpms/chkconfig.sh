#!/bin/bash
# chkconfig over systemctl, as EL's forwards it for services that have a unit.
set -euo pipefail

case ${1:-} in
    --add) systemctl --no-reload preset "$2.service" 2>/dev/null || : ;;
    --del) systemctl --no-reload disable "$2.service" 2>/dev/null || : ;;
    --list | '') systemctl list-unit-files --type=service ;;
    *)
        case ${*: -1} in
            on) systemctl enable "${*: -2:1}.service" ;;
            off) systemctl disable "${*: -2:1}.service" ;;
            *) systemctl is-enabled --quiet "${1}.service" ;;
        esac
        ;;
esac
