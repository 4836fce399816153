#!/bin/bash
# Says what is wrong with this host that no product can help, one line each:
#
#   fault.sh NAME[:PORT]...    (names it must be able to resolve and, with a port, to reach)
#
# free MOUNT KILOBYTES   of every file system
# full MOUNT KILOBYTES   hardly any space left, or no inode
# readonly MOUNT
# killed NUMBER          processes the kernel killed for want of memory
# refused NUMBER         processes beyond the most that a host may have
# unresolved NAME
# unreachable NAME:PORT
set -uo pipefail

# A container's own file systems; what is small by nature (/dev, /run/lock) fills without harm.
for folder in / /tmp /var /var/tmp /var/cache /var/lib /var/log /etc /home; do
    [ -d "$folder" ] || continue
    read -r mount free inodes total < <(df --output=target,avail,iavail,itotal "$folder" 2>/dev/null | tail -n 1)
    [[ ${free:-} == +([0-9]) ]] || continue
    echo "free $mount $free"
    if [ "$free" -lt 1024 ] || { [ "${total:-0}" != 0 ] && [ "${inodes:-1}" = 0 ]; }; then
        echo "full $mount $free"
    elif look=$(mktemp "$folder/.itb-look.XXXXXXXXXX" 2>/dev/null); then # nobody else has put this name there
        rm -f "$look"
    else
        echo "readonly $mount"
    fi
done | sort -u

# cgroup v2, then v1.  A unit with a limit of its own speaks for itself, not for the host.
killed=0
while IFS= read -r -d '' file; do
    own=${file%/*}/memory.max
    if [ "${file%/*}" != /sys/fs/cgroup ] && [ -r "$own" ] && [ "$(<"$own")" != max ]; then continue; fi
    while read -r word number; do
        [ "$word" != oom_kill ] || killed=$((killed + number))
    done <"$file"
done < <(find /sys/fs/cgroup /sys/fs/cgroup/memory/ -maxdepth 4 \
    \( -name memory.events.local -o -name memory.oom_control \) -print0 2>/dev/null | sort -zu)
[ "$killed" = 0 ] || echo "killed $killed"

# Its own, not those of a unit with a limit of its own.
for file in /sys/fs/cgroup/{pids.events.local,pids.events,pids/pids.events}; do
    if [ -r "$file" ]; then
        read -r _ number <"$file"
        [ "${number:-0}" = 0 ] || echo "refused $number"
        break
    fi
done

for name in "$@"; do
    address=${name%:*}
    if ! timeout 8 getent ahosts "$address" >/dev/null 2>&1; then
        echo "unresolved $address"
    elif [ "$address" != "$name" ] && ! timeout 8 bash -c "exec 3<>/dev/tcp/$address/${name##*:}" 2>/dev/null; then
        echo "unreachable $name"
    fi
done
