#!/usr/bin/env bash
# Measures everything that docs/benchmarks.md shows, on this machine's kernel, and writes that page. Needs root on Debian 12
# or later; what is missing is installed. Traffic stays in network namespaces that end with the run, also where it is
# interrupted. Building not counted, --quick takes some five minutes on two processors.
#   benches/run.sh [--quick] [--debug] [--store FILE] [PART...]
#     PART      core packets commands engine sets agent; all without. `page` alone measures nothing
#     --quick   fewer sizes and rounds
#     --debug   an unoptimised build, to try the benchmarks themselves: nothing is kept unless --store is given
#     --store   where figures are kept, those of parts that are not run included; docs/benchmarks.json, of which
#               docs/benchmarks.md is made anew
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin

export BENCH_COMMAND="benches/run.sh${*:+ $*}"
quick=() profile=release store= measure=yes parts=() all=(core packets commands engine sets agent)
while [[ $# -gt 0 ]]; do
    case $1 in
        --quick) quick=(--quick) ;;
        --debug) profile=dev ;;
        --store) shift; store=${1:?} ;;
        page) measure= ;;
        *)
            [[ " ${all[*]} " == *" $1 "* ]] || { sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 125; }
            parts+=("$1")
            ;;
    esac
    shift
done
[[ ${#parts[@]} -gt 0 || ! $measure ]] || parts=("${all[@]}")
[[ $(id -u) == 0 ]] || { echo "benches/run.sh: run it as root: sudo benches/run.sh" >&2; exit 1; }

place=$(mktemp -d)
lab='' child=''
clean() {
    trap '' INT TERM
    # The end of the first process ends all of its namespaces.
    [[ ! $child ]] || { kill -KILL "$child" 2> /dev/null && sleep 0.5; } || true
    [[ ! $lab ]] || target/debug/lab down "$lab" > /dev/null 2>&1 || true
    rm -rf "$place"
}
trap clean EXIT
trap 'exit 130' INT TERM

if [[ ! $store ]]; then
    store=docs/benchmarks.json
    [[ $profile == release ]] || store=$place/store.json
fi
said() { printf '== %s\n' "$*" >&2; }

wanted=()
for pair in iptables:iptables ipset:ipset ip:iproute2 conntrack:conntrack nft:nftables unshare:util-linux; do
    command -v "${pair%%:*}" > /dev/null || wanted+=("${pair##*:}")
done
if [[ ${#wanted[@]} -gt 0 ]]; then
    said "installing ${wanted[*]}"
    { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends "${wanted[@]}"; } > "$place/apt.log" 2>&1 \
        || { cat "$place/apt.log" >&2; exit 1; }
fi

said "building"
export CARGO_INCREMENTAL=0
program=$(cargo bench --quiet --locked --bench numbers --profile "$profile" --no-run --message-format json \
    | sed -n 's/.*"name":"numbers".*"executable":"\([^"]*\)".*/\1/p')
plugin=$([[ $profile == release ]] && echo target/release/docker-firewall || echo target/debug/docker-firewall)
if [[ " ${parts[*]} " == *" engine "* ]]; then
    cargo build --quiet --locked -p docker-firewall-lab --bin lab
    tests/engines.sh 28.5
fi

# Bash runs a trap only after what it waits for in the foreground.
in_background() {
    "$@" &
    child=$!
    local code=0
    wait "$child" || code=$?
    child=''
    return "$code"
}

# In namespaces of its own, of processes too, so that nothing outlives it.
alone() {
    TMPDIR=$place in_background unshare --net --mount --pid --fork --kill-child --mount-proc -- bash -c '
        mkdir -p /run/netns && mount -t tmpfs none /run/netns && "$@" && exit' bench "$program" "$@"
}

# Through the client of a real engine.
engine() {
    lab=$(target/debug/lab up 28.5 2> /dev/null)
    target/debug/lab install "$lab" "$plugin" > /dev/null
    target/debug/lab run "$lab" web -p 8080:80 > /dev/null
    target/debug/lab exec "$lab" bash -c 'cat > /tmp/numbers && chmod 755 /tmp/numbers' < "$program"
    in_background target/debug/lab exec "$lab" env BENCH_COMMAND="$BENCH_COMMAND" /tmp/numbers "${quick[@]}" --store - engine \
        > "$place/engine.json"
    target/debug/lab down "$lab" > /dev/null 2>&1
    lab=''
    "$program" keep "$store" engine < "$place/engine.json"
}

begun=$SECONDS
for part in "${parts[@]}"; do
    said "$part"
    since=$SECONDS
    if [[ $part == engine ]]; then
        engine
    else
        alone "${quick[@]}" --store "$store" "$part"
    fi
    said "$part: $((SECONDS - since)) s"
done
said "all parts: $((SECONDS - begun)) s"
if [[ $store == docs/benchmarks.json ]]; then
    "$program" page "$store" > docs/benchmarks.md
    said "docs/benchmarks.md is written"
else
    "$program" page "$store"
fi
