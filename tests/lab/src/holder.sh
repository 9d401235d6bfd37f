#!/bin/bash
# Becomes the first process of a lab's host: its own Debian, its own processes, its own mounts, around one network namespace.
#
#   holder.sh DIR ROOT NAME FLAVOUR      ROOT: one directory or several, the uppermost first, with colons between
#
# Called in fresh mount, pid, uts and ipc namespaces and in the lab's network namespace. Says "PID" (as seen from outside)
# on stdout when the host stands, then stays: whoever kills it kills everything in the host, containers included.
set -eu
dir=$1 root=$2 name=$3 flavour=$4 stage=${5:-outside}
group=$dir/cgroup/docker-firewall-lab/$name

if [ "$stage" = outside ]; then
  # /proc is still the outer one here, so this is the number by which others know this process.
  read -r pid _ < /proc/self/stat
  mkdir -p "$dir/cgroup"
  mount -t cgroup2 none "$dir/cgroup"
  mkdir -p "$group/init"
  # A cgroup namespace takes the group that its maker is in as its root: hence first in, then unshare.
  echo 0 > "$group/cgroup.procs"
  exec unshare --cgroup bash "$dir/holder.sh" "$dir" "$root" "$name" "$flavour" "$pid"
fi

# A group with processes in it can hand no controllers on: containers go beside init, not below it.
echo 0 > "$group/init/cgroup.procs"
umount "$dir/cgroup"

# The cached root stays pristine, and several labs can stand on it at once.
mkdir -p "$dir/upper" "$dir/work" "$dir/root" "$dir/docker"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$dir/upper,workdir=$dir/work" "$dir/root"
cd "$dir/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
mount -t cgroup2 none sys/fs/cgroup
mount --rbind /dev dev
mount --make-rprivate dev
mount -t tmpfs -o mode=755 tmpfs run
mkdir -p var/lib/docker ".$dir" lib/modules .outside
# overlayfs cannot be stacked on overlayfs: the engine's own data lies beside the overlay, not in it.
mount --bind "$dir/docker" var/lib/docker
mount --bind "$dir" ".$dir"
# iptables-legacy and dockerd load modules by name where the kernel has not got them built in.
if [ -d /lib/modules ]; then mount --bind /lib/modules lib/modules; fi
# pivot_root and not chroot, under which image imports and runc fail.
pivot_root . .outside
cd /
umount -l /.outside
rmdir /.outside

export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
hostname "$name"
printf '127.0.0.1 localhost %s\n::1 localhost\n' "$name" > /etc/hosts
# The friend runs no name server and refuses at once: nothing in the lab ever waits for a name.
echo 'nameserver 203.0.113.10' > /etc/resolv.conf
for family in iptables ip6tables; do update-alternatives --quiet --set $family "/usr/sbin/$family-$flavour"; done

# As on a real host containerd is a service of its own: it outlives a dockerd that is killed.
containerd > "$dir/containerd.log" 2>&1 &
# A dockerd that finds none starts its own.
for try in $(seq 500); do
  if [ -S /run/containerd/containerd.sock ]; then break; fi
  sleep 0.02
done

echo "$stage"
exec > /dev/null 2>&1 < /dev/null
# bash reaps whatever is orphaned here; a process left as a zombie would pass for a running one.
while :; do sleep infinity & wait $! || :; done
