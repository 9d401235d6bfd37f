#!/bin/sh
# Stands in for iptables-save, iptables-restore, ipset and their like: counts the calls of one run of the plugin and, at
# the call that `plan` names, kills the plugin that made it. `plan` holds the call's number and how:
#
#   before    killed, the tool never runs          after    the tool runs, then killed
#   torn      the tool gets half of its lines      fail     the tool fails without doing anything, nobody is killed
name=${0##*/}
dir=@DIR@
real=/usr/sbin/$name
# Looks run side by side: one at a time here, or two would get the same number.
exec 9>> "$dir/lock"
flock 9
number=$(($(cat "$dir/count") + 1))
echo "$number" > "$dir/count"
echo "$number $name $*" >> "$dir/calls"
exec 9>&-
read -r at how < "$dir/plan"
if [ "$number" != "$at" ]; then exec "$real" "$@"; fi
echo "$how $name $*" >> "$dir/struck"
case $how in
  before)
    kill -9 "$PPID"
    ;;
  after)
    "$real" "$@" > /dev/null 2>&1
    kill -9 "$PPID"
    ;;
  torn)
    cat > "$dir/input"
    head -n "$(($(wc -l < "$dir/input") / 2))" "$dir/input" | "$real" "$@" > /dev/null 2>&1
    kill -9 "$PPID"
    ;;
  fail)
    cat > /dev/null
    echo "$name: no luck today" >&2
    ;;
esac
exit 1
