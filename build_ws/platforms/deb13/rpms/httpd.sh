#!/bin/bash
# /usr/sbin/httpd and apachectl of EL over Debian's apache2.
set -euo pipefail

if [ "$(basename "$0")" = apachectl ]; then
    case ${1:-} in
        start | stop | restart | reload | status) exec systemctl "$1" httpd.service ;;
        graceful) exec systemctl reload httpd.service ;;
        configtest) set -- -t ;;
    esac
fi
exec /usr/sbin/apache2 -d /etc/httpd -f /etc/httpd/conf/httpd.conf "$@"
