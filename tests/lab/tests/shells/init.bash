# Read by an interactive bash. C-x p writes the line to a file and empties it; C-x a inserts all completions.
PS1='$ '
. /usr/share/bash-completion/bash_completion
case $SCRIPT in
    cobra) . <(docker completion bash) ;;
    older) . /usr/share/bash-completion/completions/docker ;;
    own) . <(docker-firewall completion bash) ;;
esac
bind 'set bell-style none'
bind 'set completion-query-items 0'
bind 'set page-completions off'
dump() { printf '%s\n' "$READLINE_LINE" >> /tmp/typed; READLINE_LINE=; READLINE_POINT=0; }
bind -x '"\C-xp": dump'
bind '"\C-xa": insert-completions'
