# What the hunt's scripts call: put before each of them, run by bash on the lab's host.
set -eu
readonly STATE=/var/lib/docker-firewall LOG=/run/agent.log

# peer NAME [DOCKER_ARG...] -- SERVICE...
peer() {
  local name=$1 args=()
  shift
  while [ "$1" != -- ]; do args+=("$1"); shift; done
  shift
  docker run --detach --stop-signal SIGKILL --restart always --volume /run/heard:/heard --name "$name" "${args[@]}" \
    lab/peer serve "name=$name" record=/heard/log "$@" > /dev/null
}
web() { peer web -p 8080:80 -p 8443:443 -p 5353:53/udp -- tcp=80,443 udp=53; }
# Who holds the address that is swapped, and its ports.
swapped() { peer "$1" --network swap --ip 172.29.0.9 -p 8780:80 -p 5753:53/udp "${@:2}" -- tcp=80 udp=53; }
shop() { peer "$1" --label tier=shop "${@:2}" -- tcp=80; }
gone() { docker rm --force "$@" > /dev/null; }

engine_end() {
  local pid
  pid=$(cat /run/docker.pid)
  kill "-$1" "$pid"
  while [ -d "/proc/$pid" ]; do sleep 0.01; done
}
engine_start() {
  # shellcheck disable=SC2046
  (echo 0 > /sys/fs/cgroup/init/cgroup.procs; exec setsid dockerd $(cat /run/dockerd-args) >> /run/dockerd.log 2>&1 < /dev/null) &
  for _ in $(seq 600); do
    if docker version > /dev/null 2>&1; then return 0; fi
    sleep 0.05
  done
  tail -n 5 /run/dockerd.log >&2
  return 1
}
live_restore() {
  mkdir -p /etc/docker
  echo "{\"live-restore\": $1}" > /etc/docker/daemon.json
  kill -HUP "$(cat /run/docker.pid)"
  for _ in $(seq 100); do
    if [ "$(docker info --format '{{.LiveRestoreEnabled}}')" = "$1" ]; then return 0; fi
    sleep 0.05
  done
  return 1
}

agent_start() {
  setsid docker-firewall agent >> "$LOG" 2>&1 < /dev/null &
  echo $! > /run/agent.pid
}
agent_kill() {
  local pid
  pid=$(cat /run/agent.pid)
  kill -KILL "$pid"
  while [ -d "/proc/$pid" ]; do sleep 0.002; done
}
both() { iptables "$@"; ip6tables "$@"; }
# The chain of that family may not be there at all: 20.10 has no DOCKER-USER for IPv6.
users() { iptables "$1" DOCKER-USER "${@:2}"; ip6tables "$1" DOCKER-USER "${@:2}" 2> /dev/null || true; }
# As ENGINES.md has it: the policy without its second line of defence.
unhook() { for chain in FORWARD INPUT OUTPUT; do both -t security -F "$chain"; done; }
hooked() { { iptables -S FORWARD; iptables -S DOCKER-USER; } 2> /dev/null | grep -q 'j DOCKER-FIREWALL'; }
hooked_everywhere() {
  local family
  hooked || return 1
  for family in iptables ip6tables; do
    $family -S INPUT | grep -q 'j DOCKER-FIREWALL-HOST' || return 1
    $family -t security -S FORWARD | grep -q 'j DOCKER-FIREWALL' || return 1
  done
}
# What sets hold, by our names or all of them.
ours() { ipset list -name | grep '^df[46]-'; }
members() { ipset save "$@" | sed -nE 's/ (timeout|packets|bytes) [0-9]+//g; /^add/p' | sort; }
remember() { members > /run/members; }
as_remembered() { members | cmp -s - /run/members; }
holds() { [ "$(members "$1")" = "$2" ]; }
flush_and_wait() {
  local before
  before=$(members "$1")
  if [ -n "$before" ]; then
    ipset flush "$1"
    until_true holds "$1" "$before"
  fi
}
until_true() {
  for _ in $(seq 1500); do
    if "$@"; then return 0; fi
    sleep 0.01
  done
  echo "not true after a long wait: $*" >&2
  return 1
}

# --- other programs ---

ufw_as_it_comes() {
  ufw --force reset > /dev/null 2>&1 || true
  # Whoever has a server open to friends by docker-proxy lets them in here too; that is not what is tried.
  ufw default allow incoming > /dev/null
  ufw default allow routed > /dev/null
}
firewalld_start() {
  mkdir -p /run/dbus
  rm -f /run/dbus/pid
  dbus-daemon --system --fork
  # As with ufw.
  [ "$(firewall-offline-cmd --get-default-zone)" = trusted ] || firewall-offline-cmd --set-default-zone=trusted > /dev/null
  setsid firewalld --nofork --nopid > /run/firewalld.log 2>&1 < /dev/null &
  until_true firewall-cmd --state > /dev/null 2>&1
}
firewalld_end() {
  local pid
  # Its children are called as it is until they become another program, and may be gone by now.
  for pid in $(pgrep -x firewalld) $(cat /run/dbus/pid); do kill "$pid" 2> /dev/null || true; done
  while pgrep -x firewalld > /dev/null; do sleep 0.05; done
  # It leaves what it wrote in the kernel, for others may stand on it.
  rm -f /run/dbus/system_bus_socket
}
# Rules as they were saved before ours came: nobody had a security table then.
saved_without_us() {
  mkdir -p /etc/iptables
  { iptables-save -t nat; iptables-save -t filter; } | grep -v DOCKER-FIREWALL > /etc/iptables/rules.v4
  { ip6tables-save -t nat; ip6tables-save -t filter; } | grep -v DOCKER-FIREWALL > /etc/iptables/rules.v6
}
