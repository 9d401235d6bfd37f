#!/bin/bash
# Prepares the Docker engines that the lab in tests/lab runs: one Debian root directory an engine, made once and kept.
#
#   tests/engines.sh [ENGINE...]      ENGINE: 20.10 (Debian 12), 26.1 (Debian 13), 28.5 (sid); all of them without arguments
#   tests/engines.sh --tools [ENGINE...]
#                                     also a layer over each root with the firewall tools that the leak hunt calls
#
# Needs root and a Debian host. What is there already is left alone, so a second run is over at once and prints nothing.
# The roots lie in ${DOCKER_FIREWALL_LAB_CACHE:-/var/cache/docker-firewall-lab}/roots; remove a directory there to have it
# made again. DOCKER_FIREWALL_LAB_MIRROR names another Debian mirror than the first one in the host's apt sources.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin

readonly CACHE=${DOCKER_FIREWALL_LAB_CACHE:-/var/cache/docker-firewall-lab}
readonly ROOTS=$CACHE/roots
# busybox-static goes into the containers' image, everything else is for the engine and for looking at what it did.
readonly PACKAGES=docker.io,iptables,ipset,iproute2,conntrack,kmod,busybox-static,procps
# How many roots are made at a time: two keep both the network and the disk busy, more only wait for each other.
readonly AT_ONCE=2

die() { printf 'engines.sh: %s\n' "$*" >&2; exit 1; }
say() { printf 'engines.sh: %s\n' "$*" >&2; }

suite_of() {
  case $1 in
    20.10) echo bookworm ;;
    26.1) echo trixie ;;
    28.5) echo sid ;;
    *) die "no engine '$1': choose from 20.10, 26.1 and 28.5" ;;
  esac
}

packages_of() {
  # Debian 12 ships the client inside docker.io, later releases apart from it.
  case $1 in
    20.10) echo "$PACKAGES" ;;
    *) echo "$PACKAGES,docker-cli" ;;
  esac
}

# What is put into a root afterwards, and again without making it anew, for a root may be in use: nft, through which the
# agent holds its third line (sid's also reads what the newest engines write), and the shells whose completion is tested.
extras_of() {
  case $1 in
    28.5) echo "nftables zsh fish bash-completion" ;;
    *) echo "nftables" ;;
  esac
}

# What a root was made from, kept inside it: a root of another recipe is made again.
recipe_of() { echo "$(suite_of "$1") $(packages_of "$1")"; }

have() { [[ -f $ROOTS/$1/etc/lab-recipe && $(<"$ROOTS/$1/etc/lab-recipe") == "$(recipe_of "$1")" ]]; }

have_extras() { [[ -z $(extras_of "$1") || $(cat "$ROOTS/$1/etc/lab-extras" 2> /dev/null) == "$(extras_of "$1")" ]]; }

# The host's own mirror; security and third-party archives do not serve for debootstrap.
mirror() {
  if [[ -n ${DOCKER_FIREWALL_LAB_MIRROR:-} ]]; then echo "$DOCKER_FIREWALL_LAB_MIRROR"; return; fi
  local found
  found=$(apt-get indextargets --format '$(SITE) $(CODENAME) $(ORIGIN)' 'Created-By: Packages' 2>/dev/null |
    awk '$3 == "Debian" && $2 !~ /security|backports|updates/ { print $1; exit }')
  [[ -n $found ]] || die "no Debian mirror in the host's apt sources: set DOCKER_FIREWALL_LAB_MIRROR"
  echo "$found"
}

# The commands that the lab and this script call, each with the package that brings it.
install_host_tools() {
  local missing=() need
  for need in debootstrap:debootstrap ip:iproute2 unshare:util-linux nsenter:util-linux setsid:util-linux \
              flock:util-linux tar:tar cc:gcc; do
    command -v "${need%%:*}" > /dev/null || missing+=("${need##*:}")
  done
  # The peer is linked statically, for which libc.a must be there.
  compgen -G '/usr/lib/*/libc.a' > /dev/null || missing+=(libc6-dev)
  [[ ${#missing[@]} -gt 0 ]] || return 0
  say "installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -q && apt-get install -q -y --no-install-recommends "${missing[@]}"; } > "$CACHE/apt.log" 2>&1 ||
    die "apt-get could not install ${missing[*]}: see $CACHE/apt.log"
}

# Runs in a mount namespace of its own, so that what debootstrap mounts goes away however this ends.
make_root() {
  local engine=$1 mirror=$2 building=$ROOTS/.$1.building log=$CACHE/$1.log version
  rm -rf --one-file-system "$building"
  # In two stages, because services must be forbidden before the first package is configured.
  debootstrap --foreign --variant=minbase --include="$(packages_of "$engine")" \
    "$(suite_of "$engine")" "$building" "$mirror" > "$log" 2>&1 || die "$engine: debootstrap failed: see $log"
  printf '#!/bin/sh\nexit 101\n' > "$building/usr/sbin/policy-rc.d"
  chmod 755 "$building/usr/sbin/policy-rc.d"
  chroot "$building" /debootstrap/debootstrap --second-stage >> "$log" 2>&1 ||
    die "$engine: debootstrap's second stage failed: see $log"

  version=$(chroot "$building" dockerd --version | sed -E 's/^Docker version ([0-9]+\.[0-9]+).*/\1/')
  [[ $version == "$engine" ]] ||
    die "Debian $(suite_of "$engine") now ships Docker $version instead of $engine: this engine can no longer be had from there"

  rm -rf "$building"/var/cache/apt/archives/*.deb "$building"/var/lib/apt/lists/*
  recipe_of "$engine" > "$building/etc/lab-recipe"
  rm -rf --one-file-system "${ROOTS:?}/$engine"
  mv "$building" "$ROOTS/$engine"
}

# From the mirror that the root was made from, whose lists are not kept. A list's date is passed over, as debootstrap does.
add_extras() {
  local engine=$1 root=$ROOTS/$1 log=$CACHE/$1.log
  say "$engine: adding $(extras_of "$engine")"
  # shellcheck disable=SC2046
  { chroot "$root" apt-get update -q -o Acquire::Check-Valid-Until=false &&
    DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -q -y --no-install-recommends $(extras_of "$engine")
  } >> "$log" 2>&1 || die "$engine: $(extras_of "$engine") could not be added: see $log"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
  extras_of "$engine" > "$root/etc/lab-extras"
}

# Other programs that write rules. They lie in a layer of their own, for no other test may find them installed. ufw and
# netfilter-persistent refuse to stand side by side; the latter is some lines of shell, which need no installation.
readonly TOOLS=(ufw firewalld dbus nftables)
readonly SHELL_TOOLS=(netfilter-persistent iptables-persistent)

have_tools() {
  [[ $(cat "$CACHE/tools/$1/etc/lab-tools" 2> /dev/null) == "$(recipe_of "$1") ${TOOLS[*]} ${SHELL_TOOLS[*]}" ]]
}

# Runs in a mount namespace of its own, as make_root does.
make_tools() {
  local engine=$1 stage=$CACHE/tools/.$1 log=$CACHE/$1-tools.log root
  rm -rf --one-file-system "$stage"
  mkdir -p "$stage/upper" "$stage/work" "$stage/root"
  root=$stage/root
  mount -t overlay overlay -o "lowerdir=$ROOTS/$engine,upperdir=$stage/upper,workdir=$stage/work" "$root"
  mount -t proc proc "$root/proc"
  {
    chroot "$root" apt-get update -q -o Acquire::Check-Valid-Until=false &&
    DEBIAN_FRONTEND=noninteractive chroot "$root" apt-get install -q -y --no-install-recommends "${TOOLS[@]}" &&
    chroot "$root" bash -euc 'cd /var/tmp; apt-get download "$@"
      for deb in *.deb; do dpkg --fsys-tarfile "$deb" | tar -x --keep-directory-symlink -C /; rm "$deb"; done' \
      download "${SHELL_TOOLS[@]}"
  } > "$log" 2>&1 || die "$engine: the firewall tools could not be installed: see $log"
  rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/*
  recipe_of "$engine" | sed "s/\$/ ${TOOLS[*]} ${SHELL_TOOLS[*]}/" > "$root/etc/lab-tools"
  umount "$root/proc" "$root"
  rm -rf --one-file-system "${CACHE:?}/tools/$engine"
  mv "$stage/upper" "$CACHE/tools/$engine"
  rm -rf --one-file-system "$stage"
}

main() {
  # The inner calls, one a root: see make_root and make_tools.
  if [[ ${1:-} == --make ]]; then make_root "$2" "$3"; return; fi
  if [[ ${1:-} == --make-tools ]]; then make_tools "$2"; return; fi

  local tools=
  if [[ ${1:-} == --tools ]]; then tools=yes; shift; fi
  local engines=("$@") missing=() engine
  [[ ${#engines[@]} -gt 0 ]] || engines=(20.10 26.1 28.5)
  for engine in "${engines[@]}"; do suite_of "$engine" > /dev/null; done
  [[ $EUID -eq 0 ]] || die "needs root"
  mkdir -p "$ROOTS"
  # A second run waits here and then finds everything made. The children must not inherit the lock: 9>&-.
  exec 9> "$CACHE/lock"
  flock 9
  install_host_tools
  for engine in "${engines[@]}"; do have "$engine" || missing+=("$engine"); done
  if [[ ${#missing[@]} -gt 0 ]]; then make_missing "${missing[@]}"; fi
  for engine in "${engines[@]}"; do have_extras "$engine" || add_extras "$engine"; done
  [[ -n $tools ]] || return 0
  for engine in "${engines[@]}"; do
    have_tools "$engine" && continue
    say "$engine: installing ${TOOLS[*]} ${SHELL_TOOLS[*]} beside it"
    unshare --mount --propagation private bash "$0" --make-tools "$engine" 9>&-
  done
}

make_missing() {
  local missing=("$@") engine from started failed=0 running=0
  from=$(mirror)
  started=$SECONDS
  say "making ${missing[*]} from $from"
  for engine in "${missing[@]}"; do
    if ((running == AT_ONCE)); then wait -n || failed=1; running=$((running - 1)); fi
    unshare --mount --propagation private bash "$0" --make "$engine" "$from" 9>&- &
    running=$((running + 1))
  done
  while ((running > 0)); do wait -n || failed=1; running=$((running - 1)); done
  ((failed == 0)) || die "not every engine could be made"
  say "made ${missing[*]} in $((SECONDS - started)) s"
}

main "$@"
