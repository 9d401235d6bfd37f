# Read by an interactive zsh. C-x p writes the line to a file and empties it.
PS1='$ '
LISTMAX=0
autoload -Uz compinit
compinit -u
case $SCRIPT in
    cobra) source <(docker completion zsh) ;;
    own) source <(docker-firewall completion zsh) ;;
esac
dump() { print -r -- "$BUFFER" >> /tmp/typed; BUFFER=; }
zle -N dump
bindkey '^Xp' dump
