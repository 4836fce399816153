# shellcheck shell=bash
# Functions for startup scripts, sourced as /etc/rc.d/init.d/functions; the part
# of EL's file that services still use.

export TEXTDOMAIN=initscripts
umask 022
export PATH=/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin
BOOTUP=${BOOTUP:-serial}

echo_success() { echo -n "[  OK  ]"; echo -ne "\r"; return 0; }
echo_failure() { echo -n "[FAILED]"; echo -ne "\r"; return 1; }
echo_passed() { echo -n "[PASSED]"; echo -ne "\r"; return 1; }
echo_warning() { echo -n "[WARNING]"; echo -ne "\r"; return 1; }
success() { [ "$BOOTUP" = verbose ] || echo_success; return 0; }
failure() { local rc=$?; [ "$BOOTUP" = verbose ] || echo_failure; return "$rc"; }
passed() { local rc=$?; [ "$BOOTUP" = verbose ] || echo_passed; return "$rc"; }
warning() { local rc=$?; [ "$BOOTUP" = verbose ] || echo_warning; return "$rc"; }

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

# Sets pid to the live process ids of a program: from its pid file, else by name.
__pids_var_run() {
    local file=${2:-/run/${1##*/}.pid} word
    pid=
    [ -f "$file" ] || return 3
    [ -r "$file" ] || return 4
    while read -r word; do
        [ -d "/proc/$word" ] && pid="$pid $word"
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

status() {
    local file='' base pid='' rc
    if [ "$1" = -p ]; then file=$2; shift 2; fi
    base=${1##*/}
    __pids_var_run "$1" "$file"
    rc=$?
    if [ -z "$file" ] && [ -z "$pid" ]; then pid=$(__pids_pidof "$1"); fi
    if [ -n "$pid" ]; then echo "$base (pid $pid) is running..."; return 0; fi
    case $rc in
        1) echo "$base dead but pid file exists"; return 1 ;;
        4) echo "$base status unknown due to insufficient privileges."; return 4 ;;
    esac
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

# killproc [-p FILE] [-d SECONDS] PROGRAM [-SIGNAL]
killproc() {
    local file='' delay=3 pid='' base signal
    while [ "$1" != "${1##-}" ]; do
        case $1 in
            -p) file=$2; shift 2 ;;
            -d) delay=${2%s}; shift 2 ;;
            *) break ;;
        esac
    done
    base=${1##*/}
    signal=${2:-}
    __pids_var_run "$1" "$file"
    if [ -z "$file" ] && [ -z "$pid" ]; then pid=$(__pids_pidof "$1"); fi
    if [ -z "$pid" ]; then
        failure "$base shutdown"
        [ -n "$signal" ] && return 7
        return 0
    fi
    local rc=0
    if [ -n "$signal" ]; then
        # shellcheck disable=SC2086  # several process ids
        kill "$signal" $pid >/dev/null 2>&1 || rc=$?
    else
        # shellcheck disable=SC2086
        kill -TERM $pid >/dev/null 2>&1
        # shellcheck disable=SC2086
        timeout "$delay" tail --pid="${pid%% *}" -f /dev/null
        # shellcheck disable=SC2086
        if checkpid $pid; then kill -KILL $pid >/dev/null 2>&1; fi
        [ -n "$file" ] && rm -f "$file"
    fi
    if [ "$rc" -eq 0 ]; then success "$base shutdown"; else failure "$base shutdown"; fi
    return "$rc"
}
