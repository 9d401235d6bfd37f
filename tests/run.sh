#!/bin/bash
# Every test there is, and one number in the end: `N passed, M failed`. What was skipped counts as failed.
#
#   tests/run.sh [STEP...]      STEP: style unit lab truth kill hunt; all of them without arguments; or page, truth-all, kill-long,
#                               hunt-all, hunt-soak
#
# Needs root, Debian 12 or later and cargo; the rest is installed. The steps:
#
#   style   cargo fmt and cargo clippy
#   unit    the workspace's tests (with cargo-nextest where it is installed), its documentation's examples
#   lab     the lab judged by itself, and every command typed at real engines
#   truth   who reaches what: each engine with each flavour of iptables, and each variant (other set-ups, other worlds)
#           where it bites most; some thousand cells each
#   kill    the plugin and the agent killed at every point of their work
#   hunt    a stranger at every door while containers, engines and other tools do what they do: some events, once
#
# Only when asked for, because it needs a browser (Debian's chromium, which it installs):
#
#   page    what `ls --format html` and `graph` write, in chromium
#
# Only when asked for, because they take long:
#
#   truth-all   every variant on each engine with each flavour
#   hunt-all    every event three times on each engine with each flavour
#   hunt-soak   any event at random, for a quarter of an hour
#   kill-long   the agent struck in every way as well, and what takes its time of power cuts, full disks and hung processes
#
# Logs stay in target/test-logs.
set -euo pipefail

die() { printf 'run.sh: %s\n' "$*" >&2; exit 1; }
say() { printf '\n== %s (%d s)\n' "$*" "$SECONDS"; }

[[ $EUID -eq 0 ]] || die "needs root, for the lab makes namespaces"
export PATH=$PATH:/usr/sbin:/sbin:${CARGO_HOME:-$HOME/.cargo}/bin
command -v cargo > /dev/null || die "cargo was not found: see https://rustup.rs"
cd -- "$(dirname -- "$0")/.."
readonly LOGS=target/test-logs
readonly CACHE=${DOCKER_FIREWALL_LAB_CACHE:-/var/cache/docker-firewall-lab}
# Tables, and files of the lab's tests, that run at a time: they wait more than they work.
readonly AT_ONCE=2

steps=("$@")
[[ ${#steps[@]} -gt 0 ]] || steps=(style unit lab truth kill hunt)
for step in "${steps[@]}"; do
  case $step in
    style | unit | lab | page | truth | truth-all | kill | kill-long | hunt | hunt-all | hunt-soak) ;;
    *) die "no step '$step': style, unit, lab, page, truth, truth-all, kill, kill-long, hunt, hunt-all or hunt-soak" ;;
  esac
done
wanted() { [[ " ${steps[*]} " == *" $1 "* ]]; }

passed=0 failed=0
count() {
  printf '%-28s %6d passed, %d failed\n' "$1" "$2" "$3"
  passed=$((passed + $2))
  failed=$((failed + $3))
}

install_tools() {
  local missing=() need
  for need in iptables:iptables ipset:ipset ip:iproute2 debootstrap:debootstrap strace:strace faketime:faketime; do
    command -v "${need%%:*}" > /dev/null || missing+=("${need##*:}")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } > "$LOGS/apt.log" 2>&1 ||
    die "apt-get could not install ${missing[*]}: see $LOGS/apt.log"
}

# One command that either passes or does not.
check() {
  local name=$1 log=$LOGS/$1.log
  shift
  if "$@" > "$log" 2>&1; then count "$name" 1 0; else count "$name" 0 1; tail -n 40 "$log"; fi
}

# A run of cargo's tests: every test counts.
tests() { run_tests "$@"; count_tests "$1"; }

run_tests() {
  local log=$LOGS/$1.log code=0
  shift
  "$@" > "$log" 2>&1 || code=$?
  echo "$code" > "${log%.log}.code"
}

count_tests() {
  local name=$1 log=$LOGS/$1.log code good=0 bad=0
  code=$(<"${log%.log}.code")
  if grep -q '^ *Summary \[' "$log"; then
    good=$(sed -nE 's/^ *Summary .*[ :]([0-9]+) passed.*/\1/p' "$log" | tail -n 1)
    bad=$(sed -nE 's/^ *Summary .* ([0-9]+) (failed|timed out).*/\1/p' "$log" | tail -n 1)
  else
    good=$(sed -nE 's/^test result: .* ([0-9]+) passed;.*/\1/p' "$log" | sum)
    bad=$(sed -nE 's/^test result: .* ([0-9]+) failed;.*/\1/p' "$log" | sum)
  fi
  good=${good:-0} bad=${bad:-0}
  if second_try "$name" "$bad"; then good=$((good + bad)) bad=0 code=0; fi
  # What did not even build has failed no test, and is no success.
  if ((code != 0 && bad == 0)); then bad=1; fi
  count "$name" "$good" "$bad"
  if ((code != 0)); then grep -E '^ *(FAIL|SIGABRT|TIMEOUT)|^test .* FAILED|^error|panicked' "$log" | sort -u | sed -n 1,40p || true; fi
}

# Labs share a small machine, and who waits for an engine there may wait in vain. What failed beside others is tried once
# more, alone, and named: UNSTEADY is a fault of the test or of the product, and to be found. Not so where a stranger stands at
# the door: there once is enough.
readonly STRICT=" rules unseen flushed third hostnet macvlan odd flows nftables swarm crash "

# Whether everything that failed in a file of the lab's tests passes alone.
second_try() {
  local name=$1 failed=$2 file=${1#lab-} test
  [[ $name == lab-* && $STRICT != *" $file "* ]] && ((failed > 0 && failed <= 3)) || return 1
  while read -r test; do
    run_tests "$name-again" lab "$file" -- --exact "$test" < /dev/null
    (($(<"$LOGS/$name-again.code") == 0)) || return 1
    printf 'UNSTEADY %s, %s: failed beside others and passed alone, see %s\n' "$file" "$test" "$LOGS/$name.log"
    grep -A 3 'panicked at' "$LOGS/$name.log" | cut -c1-300 | sed -n 1,12p || true
  done < <(awk '$1 == "test" && $NF == "FAILED" { print $2 }' "$LOGS/$name.log")
}

sum() { awk '{ all += $1 } END { print all + 0 }'; }

# Tests that are ignored because other tests run them, because they only measure, or because `lab` asks for them.
readonly KNOWN='"run by |"a measurement|"needs root and the engines|"needs the docker CLI"|"needs chromium'

unit_tests() {
  local skipped
  skipped=$(grep -rn --include='*.rs' '#\[ignore' src tests | grep -cvE "$KNOWN" || true)
  if command -v cargo-nextest > /dev/null; then
    tests unit cargo nextest run --locked --workspace --no-fail-fast
  else
    tests unit cargo test --locked --workspace --no-fail-fast
  fi
  tests doc cargo test --locked --workspace --doc --no-fail-fast
  ((skipped == 0)) || count skipped 0 "$skipped"
}

# The lab's tests of that name.
lab() {
  cargo test --locked --package docker-firewall-lab --test "$1" --no-fail-fast -- --ignored --test-threads 2 "${@:3}"
}

# Those that take longest, so that they begin first; all others follow by their names.
readonly LONGEST=(boot explain swarm agent documents doctor flushed rules macvlan flows)

lab_files() {
  local file
  printf '%s\n' "${LONGEST[@]}"
  for file in tests/lab/tests/*.rs; do
    file=${file##*/} file=${file%.rs}
    # What stands before and after them.
    [[ " ${LONGEST[*]} plain crash " == *" $file "* ]] || echo "$file"
  done
}

lab_tests() {
  tests lab lab plain
  # They wait more than they work: two files of them side by side, and two labs at a time in each.
  local file files running=0
  mapfile -t files < <(lab_files)
  for file in "${files[@]}"; do
    if ((running == AT_ONCE)); then wait -n; running=$((running - 1)); fi
    run_tests "lab-$file" lab "$file" &
    running=$((running + 1))
  done
  wait
  for file in "${files[@]}"; do count_tests "lab-$file"; done
  tests crash lab crash -- clocks many_at_once a_tool_that_outlives
  tests docker-cli cargo test --locked --test docker_engine --no-fail-fast -- --ignored through_the_real_docker
}

page_tests() {
  if ! command -v chromium > /dev/null; then
    say "installing chromium"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -q && apt-get install -q -y --no-install-recommends chromium; } > "$LOGS/apt.log" 2>&1 ||
      die "apt-get could not install chromium: see $LOGS/apt.log"
  fi
  tests page cargo test --locked --test page --no-fail-fast -- --ignored --test-threads 1
}

# A program of the lab in the background; its last line says how it ended.
launch() {
  local program=$1 engine=$2 flavour=$3 variant=${4:-}
  local log=$LOGS/$program-$engine-$flavour${variant:+-$variant}.log
  local more=()
  case $variant in "") ;; --*) more=("$variant") ;; *) more=(--variant "$variant") ;; esac
  "target/debug/$program" "$engine" "$flavour" "${more[@]}" --plugin target/debug/docker-firewall \
    > "$log" 2>&1 || true
  printf '%s, %s\n' "$program" "$(tail -n 1 "$log")"
}

settle() {
  local program=$1 title="$2 $3${4:+ $4}" last all wrong
  title=${title% --*}
  local log=$LOGS/$1-$2-$3${4:+-$4}.log
  last=$(tail -n 1 "$log")
  if [[ $last =~ ^"$title: "([0-9]+)" cells, "([0-9]+)" wrong" ]]; then
    all=${BASH_REMATCH[1]} wrong=${BASH_REMATCH[2]}
  elif [[ $last =~ ^"$title: ".*" "([0-9]+)" runs, ".*" "([0-9]+)" wider answers, "([0-9]+)" wrong" ]]; then
    all=${BASH_REMATCH[1]} wrong=$((BASH_REMATCH[2] + BASH_REMATCH[3]))
  elif [[ $last =~ ^"$title: "([0-9]+)" provocations, ".*" "([0-9]+)" leaks, "([0-9]+)" wrong" ]]; then
    all=${BASH_REMATCH[1]} wrong=$((BASH_REMATCH[2] + BASH_REMATCH[3]))
  else
    all=1 wrong=1
  fi
  count "$program $title" $((all > wrong ? all - wrong : 0)) "$wrong"
  if ((wrong > 0)); then { grep -E '^(WRONG|WIDER|LEAK)' "$log" || tail -n 5 "$log"; } | cut -c1-400 | sed -n 1,20p; fi
}

# Where each variant shows most: 28.5 has the gateway modes and opens IPv6 by itself, 26.1 is without ip6tables out of the
# box, and engines from 27.3 on leave br_netfilter alone.
readonly EVERY_DAY=("28.5 nft changes" "28.5 nft ways" "28.5 nft host-network" "28.5 nft macvlan" "28.5 nft no-proxy" "28.5 legacy no-iptables"
  "28.5 legacy no-br-netfilter" "26.1 nft ip6tables-off" "26.1 legacy ways" "20.10 nft br-netfilter")
readonly VARIANTS=(changes ways host-network macvlan no-proxy no-iptables ip6tables-off no-br-netfilter br-netfilter)

# The longest first, so that the last two end together.
engine_tests() {
  local job jobs=() running=0 engine flavour variant
  if wanted kill; then jobs+=("kill 28.5 nft"); fi
  if wanted kill-long; then jobs+=("kill 28.5 nft --long"); fi
  if wanted hunt; then jobs+=("hunt 28.5 nft --brief" "hunt 20.10 legacy --brief"); fi
  if wanted hunt-soak; then jobs+=("hunt 28.5 nft --soak"); fi
  if wanted hunt-all; then
    for engine in 28.5 26.1 20.10; do
      for flavour in nft legacy; do jobs+=("hunt $engine $flavour"); done
    done
  fi
  if wanted truth-all; then
    for variant in "${VARIANTS[@]}"; do
      for engine in 28.5 26.1 20.10; do
        for flavour in nft legacy; do jobs+=("truth $engine $flavour $variant"); done
      done
    done
  elif wanted truth; then
    for job in "${EVERY_DAY[@]}"; do jobs+=("truth $job"); done
  fi
  if wanted truth || wanted truth-all; then
    for engine in 28.5 26.1 20.10; do
      for flavour in nft legacy; do jobs+=("truth $engine $flavour"); done
    done
  fi
  for job in "${jobs[@]}"; do
    if ((running == AT_ONCE)); then wait -n; running=$((running - 1)); fi
    # shellcheck disable=SC2086
    launch $job &
    running=$((running + 1))
  done
  wait
  # shellcheck disable=SC2086
  for job in "${jobs[@]}"; do settle $job; done
}

mkdir -p "$LOGS"
install_tools
say "engines"
if [[ " ${steps[*]}" == *" hunt"* ]]; then tests/engines.sh --tools; else tests/engines.sh; fi
# The client of one of them serves where the host has none.
if ! command -v docker > /dev/null; then
  mkdir -p "$LOGS/bin"
  ln -sfn "$CACHE/roots/20.10/usr/bin/docker" "$LOGS/bin/docker"
  PATH=$PATH:$PWD/$LOGS/bin
fi

if wanted style; then
  say style
  check fmt cargo fmt --all --check
  check clippy cargo clippy --locked --workspace --all-targets -- -D warnings
fi
say build
cargo build --locked --workspace --all-targets > "$LOGS/build.log" 2>&1 || { tail -n 40 "$LOGS/build.log"; count build 0 1; }
if wanted unit; then say unit; unit_tests; fi
if wanted lab; then say lab; lab_tests; fi
if wanted page; then say page; page_tests; fi
if wanted kill-long; then
  say "crash"
  tests crash-long lab crash -- every_prefix torn_files no_room a_long_import
fi
if [[ " ${steps[*]}" =~ \ (truth|kill|hunt) ]]; then say "truth, kill, hunt"; engine_tests; fi

say done
printf '\n%d passed, %d failed\n' "$passed" "$failed"
((failed == 0))
