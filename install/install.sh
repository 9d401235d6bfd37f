#!/bin/sh
# Builds docker-firewall and puts it where Docker's client looks for plugins, or removes it from there.
# It writes and removes one file, docker-firewall, and creates the directory for it.
set -eu

usage() {
    cat <<'END'
Usage:  install/install.sh [--system] [--binary FILE]
        install/install.sh --uninstall [--system]

Installs the docker-firewall plugin for you alone, into ~/.docker/cli-plugins
(or $DOCKER_CONFIG/cli-plugins).

Options:
  --system        For everybody, root included: /usr/libexec/docker/cli-plugins
  --binary FILE   Install this file instead of building one
  --uninstall     Remove the plugin from where it would be installed
  --help          Print this
END
}

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '%s\n' "$line" >&2; done
    exit 1
}

system=false
uninstall=false
binary=
while [ $# -gt 0 ]; do
    case $1 in
        --system) system=true ;;
        --uninstall) uninstall=true ;;
        --binary)
            [ $# -ge 2 ] || fail "--binary needs a file"
            binary=$2
            shift
            ;;
        --help | -h) usage; exit 0 ;;
        *) fail "unknown option: $1" "See 'install/install.sh --help'" ;;
    esac
    shift
done

if $system; then
    directory=${DESTDIR:-}/usr/libexec/docker/cli-plugins
else
    [ -n "${DOCKER_CONFIG:-}" ] || [ -n "${HOME:-}" ] || fail "neither HOME nor DOCKER_CONFIG is set"
    directory=${DOCKER_CONFIG:-${HOME:-}/.docker}/cli-plugins
fi
plugin=$directory/docker-firewall

# A link to a directory counts as one: mv would put the file inside it.
[ ! -d "$plugin" ] || fail "$plugin is a directory: nothing was changed"

if $uninstall; then
    [ -z "$binary" ] || fail "--binary and --uninstall exclude each other"
    if [ -e "$plugin" ] || [ -L "$plugin" ]; then
        rm -f -- "$plugin" || fail "cannot remove $plugin"
        echo "Removed $plugin"
        echo "The rules it made stay in the kernel; 'docker firewall reset' would have removed them."
    else
        echo "There is no $plugin: nothing was changed"
    fi
    exit 0
fi

if [ -z "$binary" ]; then
    command -v cargo >/dev/null 2>&1 || fail "cargo was not found, so nothing can be built" \
        "As the user who has it:  cargo build --release --locked" \
        "Then:  sudo install/install.sh --system --binary target/release/docker-firewall"
    root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
    echo "Building docker-firewall"
    (cd -- "$root" && cargo build --release --locked --target-dir "$root/target")
    binary=$root/target/release/docker-firewall
fi
[ -f "$binary" ] || fail "$binary is no file"

mkdir -p -- "$directory" || fail "cannot create $directory" "System-wide installation needs root: try sudo"
# Beside its place, so that the last step is one rename: Docker's client never sees half a file.
new=$(mktemp -- "$directory/.docker-firewall.XXXXXX") || fail "cannot write to $directory"
trap 'rm -f -- "$new"' EXIT
trap 'exit 130' HUP INT TERM
cp -- "$binary" "$new"
chmod 0755 -- "$new"
version=$("$new" docker-cli-plugin-metadata 2>/dev/null | sed -n 's/.*"Version": *"\([^"]*\)".*/\1/p') || version=
[ -n "$version" ] || fail "$binary does not run here, or is not docker-firewall: nothing was changed"
mv -f -- "$new" "$plugin"

echo "Installed docker-firewall $version as $plugin"
if $system; then
    echo "Next:  sudo docker firewall status"
else
    if [ "$(id -u)" -ne 0 ]; then
        echo "'sudo docker' does not see it, for root has a configuration of its own."
        echo "For everybody:  sudo install/install.sh --system --binary $binary"
    elif [ -n "${SUDO_USER:-}" ]; then
        echo "Under sudo this is root's own configuration: $SUDO_USER does not see it. --system is for everybody."
    fi
    echo "Next:  docker firewall --help"
fi
