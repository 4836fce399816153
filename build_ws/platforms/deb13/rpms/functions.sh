# shellcheck shell=bash
# Functions for startup scripts, sourced as /etc/rc.d/init.d/functions; what EL's file does for services
# (etc/rc.d/init.d/functions of fedora-sysv/initscripts), without colours.

umask 022
export PATH=/sbin:/usr/sbin:/bin:/usr/bin
BOOTUP=${BOOTUP:-serial}

# An init script that is started by hand is redirected to its unit.
_use_systemctl=''
if [ "$PPID" -ne 1 ] && [ -z "${SYSTEMCTL_SKIP_REDIRECT:-}" ] && [ -d /run/systemd/system ]; then
    case $0 in
        /etc/init.d/* | /etc/rc.d/init.d/*) _use_systemctl=1 ;;
    esac
fi

systemctl_redirect() {
    local program=${1##*/} text
    case $2 in
        start) text=Starting ;;
        stop) text=Stopping ;;
        reload | try-reload) text=Reloading ;;
        *) text=Restarting ;;
    esac
    action "$text $program (via systemctl): " systemctl ${SYSTEMCTL_IGNORE_DEPENDENCIES:+--ignore-dependencies} \
        "$2" "$program.service"
}

echo_success() { echo -n "[  OK  ]"; echo -ne "\r"; return 0; }
echo_failure() { echo -n "[FAILED]"; echo -ne "\r"; return 1; }
echo_passed() { echo -n "[PASSED]"; echo -ne "\r"; return 1; }
echo_warning() { echo -n "[WARNING]"; echo -ne "\r"; return 1; }
success() { [ "$BOOTUP" = verbose ] || [ -n "${LSB:-}" ] || echo_success; return 0; }
failure() { local rc=$?; [ "$BOOTUP" = verbose ] || [ -n "${LSB:-}" ] || echo_failure; return "$rc"; }
passed() { local rc=$?; [ "$BOOTUP" = verbose ] || [ -n "${LSB:-}" ] || echo_passed; return "$rc"; }
warning() { local rc=$?; [ "$BOOTUP" = verbose ] || [ -n "${LSB:-}" ] || echo_warning; return "$rc"; }

action() {
    local text=$1 rc=0
    shift
    echo -n "$text "
    if "$@"; then success "$text"; else rc=$?; failure "$text"; fi
    echo
    return "$rc"
}

checkpid() {
    local pid
    for pid in "$@"; do
        [ -d "/proc/$pid" ] && return 0
    done
    return 1
}

# Sets pid to the live process ids in a program's pid file; of the binary $3 only, if that is given.
__pids_var_run() {
    local file=${2:-/run/${1##*/}.pid} binary=${3:-} word
    pid=
    [ -f "$file" ] || return 3
    [ -r "$file" ] || return 4
    while read -r word; do
        [ -n "$word" ] && [ -z "${word//[0-9]/}" ] && [ -d "/proc/$word" ] || continue
        [ -z "$binary" ] || [ "$(readlink "/proc/$word/exe" | sed 's/ (deleted)$//')" = "$binary" ] || continue
        pid="$pid $word"
    done < <(tr -s ' ' '\n' <"$file")
    pid=${pid# }
    [ -n "$pid" ] && return 0
    return 1
}

__pids_pidof() { pidof -c -o $$ -o $PPID -o %PPID -x "$1" || pidof -c -o $$ -o $PPID -o %PPID -x "${1##*/}"; }

pidofproc() {
    local file='' rc pid=''
    if [ "$1" = -p ]; then file=$2; shift 2; fi
    __pids_var_run "$1" "$file"
    rc=$?
    if [ -n "$pid" ]; then echo "$pid"; return 0; fi
    [ -n "$file" ] && return "$rc"
    __pids_pidof "$1" || return "$rc"
}

# Of the pid file only, as EL's.
pidfileofproc() {
    local pid=''
    __pids_var_run "$1" || :
    [ -n "$pid" ] && echo "$pid"
    return 0
}

# status [-p FILE] [-l LOCK] [-b BINARY] PROGRAM
status() {
    local file='' lock='' binary='' base pid='' rc
    if [ "$1" = -p ]; then file=$2; shift 2; fi
    if [ "$1" = -l ]; then lock=$2; shift 2; fi
    if [ "$1" = -b ]; then binary=$2; shift 2; fi
    base=${1##*/}
    if [ -n "$_use_systemctl" ]; then
        systemctl status "${0##*/}.service"
        rc=$?
        # What has ended is no daemon, whatever RemainAfterExit= makes of it.
        if [ "$(systemctl show --property=ActiveState,SubState --value "${0##*/}.service" | tr '\n' ' ')" = 'active exited ' ]; then
            rc=3
        fi
        return "$rc"
    fi
    __pids_var_run "$1" "$file" "$binary"
    rc=$?
    if [ -z "$file" ] && [ -z "$pid" ]; then pid=$(__pids_pidof "$1"); fi
    if [ -n "$pid" ]; then echo "$base (pid $pid) is running..."; return 0; fi
    case $rc in
        1) echo "$base dead but pid file exists"; return 1 ;;
        4) echo "$base status unknown due to insufficient privileges."; return 4 ;;
    esac
    if [ -f "/var/lock/subsys/${lock:-$base}" ]; then echo "$base dead but subsys locked"; return 2; fi
    echo "$base is stopped"
    return 3
}

# daemon [--check NAME] [--user USER] [--pidfile FILE] [--force] [+/-NICE] PROGRAM ...
daemon() {
    local base='' force='' user='' file='' pid='' nice=''
    local -a nicelevel=()
    while [ "$1" != "${1##[-+]}" ]; do
        case $1 in
            --check) base=$2; shift 2 ;;
            --check=?*) base=${1#--check=}; shift ;;
            --user) user=$2; shift 2 ;;
            --user=?*) user=${1#--user=}; shift ;;
            --pidfile) file=$2; shift 2 ;;
            --pidfile=?*) file=${1#--pidfile=}; shift ;;
            --force) force=force; shift ;;
            [-+][0-9]*) nice=$1; shift ;;
            *) echo "daemon: unknown option $1" >&2; return 1 ;;
        esac
    done
    nice=${NICELEVEL:-$nice}
    [ -n "$nice" ] && nicelevel=(nice -n "$nice")
    base=${base:-${1##*/}}
    __pids_var_run "$base" "$file"
    [ -n "$pid" ] && [ -z "$force" ] && return 0
    ulimit -S -c "${DAEMON_COREFILE_LIMIT:-0}" >/dev/null 2>&1
    if [ -z "$user" ]; then
        "${nicelevel[@]}" bash -c "$*"
    else
        # Without "-": the environment of the startup script is kept, as EL does.
        "${nicelevel[@]}" runuser -s /bin/bash "$user" -c "$*"
    fi
    local rc=$?
    if [ "$rc" -eq 0 ]; then success "$base startup"; else failure "$base startup"; fi
    return "$rc"
}

# killproc [-p FILE [-b BINARY]] [-d SECONDS] PROGRAM [-SIGNAL]
killproc() {
    local file='' binary='' delay=3 pid='' base signal rc=0 one
    while [ "$1" != "${1##-}" ]; do
        case $1 in
            -p) file=$2; shift 2 ;;
            -b) binary=$2; shift 2 ;;
            -d) delay=${2%s}; shift 2 ;;
            *) break ;;
        esac
    done
    base=${1##*/}
    signal=${2:-}
    __pids_var_run "$1" "$file" "$binary" || rc=$?
    if [ -z "$file" ] && [ -z "$pid" ]; then pid=$(__pids_pidof "$1"); fi
    if [ -z "$pid" ] && [ -n "$file" ] && [ "$rc" -eq 4 ]; then failure "$base shutdown"; return 4; fi
    rc=0
    if [ -z "$pid" ]; then
        if [ -n "${LSB:-}" ] && [ -n "$signal" ]; then rc=7; else failure "$base shutdown"; fi
    elif [ -n "$signal" ]; then
        # shellcheck disable=SC2086  # several process ids
        kill "$signal" $pid >/dev/null 2>&1 || rc=$?
        if [ "$rc" -eq 0 ]; then success "$base $signal"; else failure "$base $signal"; fi
    else
        # shellcheck disable=SC2086
        kill -TERM $pid >/dev/null 2>&1
        for one in $pid; do timeout "$delay" tail --pid="$one" -f /dev/null; done
        # shellcheck disable=SC2086
        if checkpid $pid; then kill -KILL $pid >/dev/null 2>&1; sleep 0.1; fi
        # shellcheck disable=SC2086
        if checkpid $pid; then rc=1; failure "$base shutdown"; else success "$base shutdown"; fi
    fi
    [ -n "$signal" ] || rm -f "${file:-/run/$base.pid}"
    return "$rc"
}

strstr() { [[ $1 == *"$2"* ]]; }
is_true() { [[ ${1,,} =~ ^(t|y|yes|on|true|1)$ ]]; }
is_false() { [[ ${1,,} =~ ^(f|n|no|off|false|0)$ ]]; }
update_boot_stage() { return 0; }

if [ -n "$_use_systemctl" ]; then
    case ${1:-} in
        start | stop | restart | reload | try-restart | force-reload | condrestart)
            systemctl_redirect "$0" "$1"
            exit $?
            ;;
    esac
fi
return 0
