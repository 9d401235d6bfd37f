#!/usr/bin/env bash
# Measures the agent at 10, 100 and 1,000 containers against a made-up engine and the real kernel, in a network namespace
# of its own: milliseconds from a container's start said by the engine to its new address in force, memory
# (resident, and of that its own alone), and processor time (the agent's and that of the tools it runs) at rest and at ten events a second.
#   benches/agent.sh [release|debug] [nft|legacy] [RESTARTS] [SECONDS]
set -euo pipefail
cd "$(dirname "$0")/.."
profile=${1:-release}
flavour=${2:-nft}
options=()
[[ $profile == debug ]] && options=(--profile dev)
program=$(cargo bench --quiet --locked --bench agent "${options[@]}" --no-run --message-format json \
    | sed -n 's/.*"name":"agent".*"executable":"\([^"]*\)".*/\1/p')
tools=$(mktemp -d)
trap 'rm -r "$tools"' EXIT
for name in iptables ip6tables; do
    for verb in "" -save -restore; do
        ln -s "$(command -v "$name-$flavour$verb")" "$tools/$name$verb"
    done
done
echo "$profile, $flavour, $(nproc) processors, load $(cut -d' ' -f1 /proc/loadavg)"
PATH="$tools:$PATH" unshare --net --mount "$program" measure "${3:-100}" "${4:-60}"
