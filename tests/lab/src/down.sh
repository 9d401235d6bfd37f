#!/bin/bash
# Takes a lab away, whatever state it is in: processes, namespaces, cgroups, files. Called with the lab's directory.
#
#   down.sh DIR [wait]        with `wait`: once stdin ends, which is when the lab's owner lets go of it or dies
set -u
export PATH=$PATH:/usr/sbin:/sbin
dir=$1
name=${dir##*/}
if [ "${2:-}" = wait ]; then cat > /dev/null; fi
if [ ! -f "$dir/state" ]; then exit 0; fi

# Field 22 of stat is the start time: a number that was given to another process since is not ours to kill. Zombies have
# none, for they have ended.
started() { sed 's/.*) //; /^[ZX]/d' "/proc/$1/stat" 2> /dev/null | cut -d' ' -f20; }

if [ -f "$dir/holder" ]; then
  read -r pid start < "$dir/holder"
  if [ "$(started "$pid")" = "$start" ]; then
    # The first process of a pid namespace takes all others with it, and is gone only when they are.
    kill -9 "$pid"
    while [ "$(started "$pid")" = "$start" ]; do sleep 0.02; done
  fi
fi

for place in host friend stranger; do
  if [ -e "/run/netns/$name-$place" ]; then ip netns del "$name-$place"; fi
done

unshare --mount --propagation private bash -c '
  mkdir -p "$1/cgroup" && mount -t cgroup2 none "$1/cgroup" || exit
  group=$1/cgroup/docker-firewall-lab/$2
  for try in 1 2 3 4 5 6 7 8 9 10; do
    if [ ! -d "$group" ]; then break; fi
    find "$group" -depth -type d -exec rmdir {} + 2> /dev/null || sleep 0.1
  done
  # Kept while other labs are up.
  rmdir "$1/cgroup/docker-firewall-lab" 2> /dev/null
' down "$dir" "$name"

# All its mounts were in the holder's namespace and went with it; one file system all the same, in case one did not.
rm -rf --one-file-system "$dir"
exit 0
