#!/usr/bin/env bash
# Times `docker firewall allow` against the recipe's own three commands, interleaved, in a throwaway lab with a real
# engine: whole processes, as a person types them. Prints medians in milliseconds and their ratio.
#   benches/allow.sh [ENGINE] [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
engine=${1:-28.5}
rounds=${2:-30}

cargo build --quiet --release --locked
cargo build --quiet --locked -p docker-firewall-lab --bin lab
tests/engines.sh "$engine"
lab=target/debug/lab
name=$($lab up "$engine" 2> /dev/null)
trap '$lab down "$name" > /dev/null' EXIT
$lab install "$name" target/release/docker-firewall > /dev/null
$lab run "$name" web -p 8080:80 > /dev/null

$lab exec "$name" bash -c '
set -euo pipefail
rounds=$1
docker firewall set create ipfriends > /dev/null
docker firewall set add ipfriends 203.0.113.10 203.0.113.11 203.0.113.12 > /dev/null
cat > /tmp/recipe.conf <<EOF
create -exist recipe hash:ip family inet hashsize 1024 maxelem 65536
flush recipe
add recipe 203.0.113.10
add recipe 203.0.113.11
add recipe 203.0.113.12
EOF
now() { echo "${EPOCHREALTIME/./}"; }
recipe() {
    ipset restore < /tmp/recipe.conf
    iptables -I DOCKER -i br-ext -m set ! --match-set recipe src -j DROP
    iptables -I DOCKER -i br-ext -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
}
for _ in $(seq "$rounds"); do
    a=$(now); recipe; b=$(now)
    iptables -D DOCKER 1; iptables -D DOCKER 1; ipset destroy recipe
    c=$(now); docker firewall allow web --from ipfriends > /dev/null; d=$(now)
    docker firewall rm 1 > /dev/null
    e=$(now); docker-firewall allow web --from ipfriends > /dev/null; f=$(now)
    docker firewall rm 1 > /dev/null
    g=$(now); docker version > /dev/null; h=$(now)
    echo "$((b - a)) $((d - c)) $((f - e)) $((h - g))"
done' bench "$rounds" | awk '
{ for (i = 1; i <= 4; i++) v[i, NR] = $i }
function median(i,   j, k, t, a) {
    for (j = 1; j <= NR; j++) a[j] = v[i, j]
    for (j = 1; j <= NR; j++) for (k = j + 1; k <= NR; k++) if (a[k] < a[j]) { t = a[j]; a[j] = a[k]; a[k] = t }
    return a[int((NR + 1) / 2)] / 1000
}
END {
    r = median(1); d = median(2); s = median(3); n = median(4)
    printf "%-52s %7.1f ms\n", "recipe: ipset restore, iptables -I, iptables -I", r
    printf "%-52s %7.1f ms  %.2f of the recipe\n", "docker firewall allow web --from ipfriends", d, d / r
    printf "%-52s %7.1f ms  %.2f of the recipe\n", "docker-firewall allow web --from ipfriends", s, s / r
    printf "%-52s %7.1f ms\n", "docker version, for comparison", n
}'
