# What becomes of a line in a shell when KEYS are pressed behind it: the line, then what was on the terminal.
#   type.sh SHELL SCRIPT KEYS LINE
export SCRIPT=$2 ZDOTDIR=/tmp/zsh TERM=xterm
rm -f /tmp/typed /tmp/ran /tmp/screen
case $1 in
    bash) shell='bash --rcfile /tmp/init.bash -i' ;;
    zsh) shell='zsh -i' ;;
esac
case $3 in
    tab) keys='\t' ;;
    twice) keys='\t\t' ;;
    all) keys='\030a' ;;
esac
{
    # The prompt: the shell reads.
    for try in $(seq 100); do grep -qs '^\$ \|\$ ' /tmp/screen && break; sleep 0.1; done
    sleep 0.2
    printf "%s$keys" "$4"
    sleep 0.3
    printf '\030p'
    for try in $(seq 100); do [ -s /tmp/typed ] && break; sleep 0.1; done
    printf 'exit\n'
    sleep 0.2
} | timeout 30 script -qec "$shell" /dev/null > /tmp/screen 2>&1
cat /tmp/typed
tr -d '\r' < /tmp/screen
