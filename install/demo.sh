#!/bin/bash
# Shows the main job on a throwaway host: `docker firewall allow web --from ipfriends`, typed at a real Docker engine,
# and what a friend and a stranger get before and after.
#
#   install/demo.sh [--engine 20.10|26.1|28.5] [--verbose]
#
# Needs root, Debian 12 or later, cargo and this checkout; anything else is installed by tests/engines.sh. The host is a set of
# namespaces with a Debian root of its own: this machine's firewall and Docker are not touched. All of it goes in the
# end, however that comes; the Debian root stays in /var/cache/docker-firewall-lab for the next time.
set -euo pipefail

usage() { sed -n '2,6s/^# \{0,1\}//p' "$0"; }
die() { printf 'demo.sh: %s\n' "$*" >&2; exit 1; }
say() { printf '\n== %s\n' "$*"; }

engine=28.5
while [[ $# -gt 0 ]]; do
  case $1 in
    --engine) [[ $# -ge 2 ]] || die "--engine needs 20.10, 26.1 or 28.5"; engine=$2; shift ;;
    --engine=*) engine=${1#*=} ;;
    --verbose | -v) export DEMO_VERBOSE=1 ;;
    --help | -h) usage; exit 0 ;;
    *) die "unknown option: $1 (see --help)" ;;
  esac
  shift
done
case $engine in 20.10 | 26.1 | 28.5) ;; *) die "no engine '$engine': choose from 20.10, 26.1 and 28.5" ;; esac

[[ $EUID -eq 0 ]] || die "needs root, for it makes namespaces: try sudo $0"
# sudo and su leave the user's own directories out.
PATH=$PATH:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin
command -v cargo > /dev/null || die "cargo was not found: see https://rustup.rs"
cd -- "$(dirname -- "$0")/.."

demo=
# The lab is taken away by a watcher of its own as soon as the program that made it is gone: wait for that.
finish() {
  local code=$?
  trap - EXIT INT TERM HUP
  if [[ -n $demo ]]; then
    kill -TERM "$demo" 2> /dev/null || true
    wait "$demo" 2> /dev/null || true
    for ((try = 0; try < 300; try++)); do
      [[ -e ${DOCKER_FIREWALL_LAB_DIR:-/var/tmp/docker-firewall-lab}/demo-$demo ]] || break
      sleep 0.1
    done
  fi
  exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

say "Host: a Debian root with Docker $engine (made once, takes a minute or two)"
tests/engines.sh "$engine"

say "Building the plugin"
cargo build --release --locked --quiet --target-dir target --package docker-firewall
say "Building the lab"
cargo build --locked --quiet --target-dir target --package docker-firewall-lab --bins

say "Demonstration"
# In the background and waited for: a signal to this script then takes effect at once, not after the demonstration.
target/debug/demo "$engine" --plugin target/release/docker-firewall &
demo=$!
wait "$demo"
