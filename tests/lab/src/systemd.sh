#!/bin/sh
# Boots systemd on the lab's host, as the first process of a process namespace of its own.
#
#   systemd.sh DIR        writes its process ID, as the lab's host sees it, to DIR/systemd
#
# The network namespace and the files are the host's; /run and /tmp begin empty. Whoever kills that process cuts the power.
set -eu
dir=$1
# The engine of the lab's own and its containerd make room.
for process in /proc/[0-9]*; do
  case $(cat "$process/comm" 2> /dev/null) in containerd) kill "${process#/proc/}" ;; esac
done
mkdir -p /sys/fs/cgroup/systemd
echo 0 > /sys/fs/cgroup/systemd/cgroup.procs
# Nobody sits at a terminal, and devices and time belong to the machine around the lab.
for unit in getty.target systemd-udevd.service systemd-networkd.service systemd-resolved.service systemd-timesyncd.service \
            systemd-logind.service console-getty.service; do
  ln -sf /dev/null "/etc/systemd/system/$unit"
done
ln -sf /lib/systemd/system/multi-user.target /etc/systemd/system/default.target
exec unshare --cgroup --pid --mount --fork --kill-child --propagation private sh -eu -c '
  read -r pid _ < /proc/self/stat
  echo "$pid" > "$1/systemd"
  mount -t proc proc /proc
  umount -l /sys/fs/cgroup
  mount -o remount,ro,bind /sys
  mount -t cgroup2 none /sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs /run
  mount -t tmpfs tmpfs /tmp
  # As systemd does where it is not in a container: units see what the engine mounts later.
  mount --make-rshared /
  exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --show-status=no' boot "$dir"
