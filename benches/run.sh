#!/usr/bin/env bash
# Measures everything that docs/benchmarks.md shows, on this machine's kernel, and writes that page. Needs root on Debian.
# Traffic stays in network namespaces that it makes and takes away.
#   benches/run.sh [--quick] [--debug] [--no-page] [PART...]     PART: core packets sets commands engine; all without
# The figures of parts that are not run are kept from the last time, in target/benchmarks.json.
set -euo pipefail
cd "$(dirname "$0")/.."

quick=() profile=(--profile release) page=yes parts=()
for word in "$@"; do
    case $word in
        --quick) quick=(--quick) ;;
        --debug) profile=(--profile dev) ;;
        --no-page) page= ;;
        core | packets | sets | commands | engine) parts+=("$word") ;;
        *) sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 125 ;;
    esac
done
[[ ${#parts[@]} -gt 0 ]] || parts=(core packets sets commands engine)
[[ $(id -u) == 0 ]] || { echo "benches/run.sh: run it as root: sudo benches/run.sh" >&2; exit 1; }

wanted=()
for pair in iptables:iptables ipset:ipset ip:iproute2 conntrack:conntrack nft:nftables; do
    PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" > /dev/null || wanted+=("${pair##*:}")
done
[[ ${#wanted[@]} -eq 0 ]] || apt-get install --yes --quiet --no-install-recommends "${wanted[@]}" >&2

export CARGO_INCREMENTAL=0
store=target/benchmarks.json
program=$(cargo bench --quiet --locked -j 2 --bench numbers "${profile[@]}" --no-run --message-format json \
    | sed -n 's/.*"name":"numbers".*"executable":"\([^"]*\)".*/\1/p')
for part in "${parts[@]}"; do
    if [[ $part == engine ]]; then
        benches/allow.sh 28.5 "$([[ ${#quick[@]} -gt 0 ]] && echo 10 || echo 30)"
    else
        # In a network of its own: some parts write rules where they are.
        unshare --net "$program" "${quick[@]}" --store "$store" "$part"
    fi
done
if [[ $page ]]; then
    "$program" page --store "$store" > docs/benchmarks.md
    echo "docs/benchmarks.md is written" >&2
fi
