#!/bin/bash
# Says what a host is doing and ends what a command has started there:
#
#   reap.sh MARK [PARENT]
#
# As root, since a step's children may be other users'.  A process is the
# command's if ITB_COMMAND=MARK (or MARK.more) is in its environment, if it is a child of
# one that is, or in a session of one: neither setsid nor a double fork gets
# away.  They are sent TERM, two seconds later KILL until none is left.
# Just before, a line goes into the output of the process the command began as,
# child of PARENT (0 for one that a container engine started): what follows it
# was said of the end, "Terminated" by a shell for instance, not of the work.
set -uo pipefail

mark=$1
top=${2:-0}
# as_user UID GID COMMAND...: root without CAP_SYS_PTRACE may not look into another user's process, that user may.
as_user() {
    local user=(setpriv --reuid "$1" --regid "$2" --clear-groups)
    [ "$1" != "$EUID" ] || user=()
    shift 2
    "${user[@]}" "$@"
}
# marked: ids of processes with the mark in their environment; another user's too, if this is root.
marked() {
    local uid gid
    stat --format='%u %g' /proc/[0-9]* 2>/dev/null | sort --unique | while read -r uid gid; do
        [ "$EUID" = 0 ] || [ "$EUID" = "$uid" ] || continue
        as_user "$uid" "$gid" grep --files-with-matches --null-data --extended-regexp \
            "^ITB_COMMAND=${mark//./[.]}(\$|[.])" /proc/[0-9]*/environ 2>/dev/null
    done | cut --delimiter=/ --fields=3
}
declare -A parent session ours words state age
look() {
    local stat fields up pid item more=1
    parent=() session=() ours=() words=() state=() age=()
    read -r up _ </proc/uptime
    for pid in /proc/[0-9]*; do
        pid=${pid#/proc/}
        stat=
        { IFS= read -r -d '' stat </proc/"$pid"/stat; } 2>/dev/null
        if [ -z "$stat" ] || [ "$pid" = "$$" ] || [ "$pid" = "$PPID" ]; then continue; fi
        read -r -a fields <<<"${stat##*) }"
        state[$pid]=${fields[0]} parent[$pid]=${fields[1]} session[$pid]=${fields[3]}
        age[$pid]=$((${up%.*} - fields[19] / 100))
        item=()
        { mapfile -d '' -t item </proc/"$pid"/cmdline; } 2>/dev/null
        words[$pid]=${item[*]:-[${stat#*(}}
        words[$pid]=${words[$pid]//$'\n'/ }
    done
    for pid in $(marked); do
        [ -z "${parent[$pid]:-}" ] || ours[$pid]=1
    done
    while [ "$more" = 1 ]; do
        more=0
        for pid in "${!parent[@]}"; do
            if [ "$pid" != 1 ] && [ -z "${ours[$pid]:-}" ] && {
                [ -n "${ours[${parent[$pid]}]:-}" ] || [ -n "${ours[${session[$pid]}]:-}" ]
            }; then
                ours[$pid]=1 more=1
            fi
        done
    done
    for pid in "${!ours[@]}"; do
        [ "${state[$pid]}" != Z ] || unset "ours[$pid]"
    done
}
# tell_end: the line goes into each output of the command once.
tell_end() {
    local pid uid gid
    for pid in "${!ours[@]}"; do
        [ "${parent[$pid]}" = "$top" ] || continue
        read -r uid gid < <(stat --format='%u %g' "/proc/$pid")
        # One that nobody reads must not hold up the end.
        as_user "$uid" "$gid" timeout 1 bash -c "$TELL" tell "/proc/$pid/fd" 2>/dev/null
    done
}
# shellcheck disable=SC2016  # for another shell
TELL='
line="| [itb] ends this command"
echo "$line" >>"$1/1"
[ "$1/1" -ef "$1/2" ] || echo "$line" >>"$1/2"
'
end() {
    local deadline=$((SECONDS + $2))
    while [ "${#ours[@]}" -gt 0 ] && [ "$SECONDS" -lt "$deadline" ]; do
        kill -"$1" "${!ours[@]}" 2>/dev/null
        sleep 0.1
        look
    done
}
look
echo "| processes of this host at that moment, * of what was ended (id, parent, state, seconds, command line):"
for pid in "${!words[@]}"; do
    own=' '
    [ -z "${ours[$pid]:-}" ] || own='*'
    printf '| %s %7d %7d %s %6d  %s\n' "$own" "$pid" "${parent[$pid]}" "${state[$pid]}" "${age[$pid]}" "${words[$pid]:0:300}"
done | sort -k2,2r -k3,3n | head -n 80
tell_end
end TERM 2
end KILL 5
[ "${#ours[@]}" -eq 0 ] || echo "| could not be ended: ${!ours[*]}"
