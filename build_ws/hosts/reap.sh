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
# as_user SECONDS UID GID COMMAND...: the user controls the command: what it prints is theirs, and it may not end by itself.
as_user() {
    local seconds=$1 user=(setpriv --reuid "$2" --regid "$3" --clear-groups)
    [ "$2" != "$EUID" ] || user=()
    shift 3
    timeout --signal KILL "$seconds" "${user[@]}" "$@" </dev/null
}
# marked: users, and the ids of processes that they say have the mark in their environment; all users', if this is root.
# Root without CAP_SYS_PTRACE may not look into another user's process, that user may.
marked() {
    local uid gid
    stat --format='%u %g' /proc/[0-9]* 2>/dev/null | sort --unique | while read -r uid gid; do
        [ "$EUID" = 0 ] || [ "$EUID" = "$uid" ] || continue
        # Who has got hold of its output may keep that open.
        as_user 3 "$uid" "$gid" grep --files-with-matches --null-data --extended-regexp \
            "^ITB_COMMAND=${mark//./[.]}(\$|[.])" /proc/[0-9]*/environ 2>/dev/null |
            timeout --signal KILL 4 head --bytes 100000 |
            sed --quiet --regexp-extended "s#^/proc/([0-9]{1,10})/environ\$#$uid \1#p"
    done
}
declare -A parent session ours words state age owner
look() {
    local stat fields up uid pid item more=1
    parent=() session=() ours=() words=() state=() age=() owner=()
    while read -r uid pid; do
        owner[${pid#/proc/}]=$uid
    done < <(stat --format='%u %n' /proc/[0-9]* 2>/dev/null)
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
    while read -r uid pid; do
        # Another user is believed about processes of their own only: root ends what is named here.
        if [ -n "${parent[$pid]:-}" ] && { [ "$uid" = "$EUID" ] || [ "${owner[$pid]:-}" = "$uid" ]; }; then
            ours[$pid]=1
        fi
    done < <(marked)
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
        as_user 1 "$uid" "$gid" bash -c "$TELL" tell "/proc/$pid/fd" 2>/dev/null
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
