#compdef @PROGRAM@
# zsh completion for @PROGRAM@: put it as _@PROGRAM@ into a directory of $fpath, or: source <(@PROGRAM@ completion zsh)
_@FUNCTION@() {
    local out line directive word about prefix
    local -a lines described keep flags
    out=$(@PROGRAM@ __complete "${(@Q)words[2,CURRENT-1]}" "${(Q)words[CURRENT]%%[[:space:]]}" 2> /dev/null) || return 1
    lines=("${(@f)out}")
    directive=${lines[-1]#:}
    lines[-1]=()
    for line in $lines; do
        word=${line%%$'\t'*}
        about=${line#$word}
        about=${about#$'\t'}
        described+=("${word//:/\\:}${about:+:$about}")
    done
    ((directive & 2)) && flags+=(-S '')
    ((directive & 32)) && keep=(-V)
    [[ $words[CURRENT] == --*=* ]] && prefix=${words[CURRENT]%%=*}= && flags+=(-P $prefix) && PREFIX=${PREFIX#$prefix}
    if ((${#described})); then
        _describe $keep 'completions' described $flags
    elif ((! (directive & 4))); then
        _files
    fi
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _@FUNCTION@ "$@"; else compdef _@FUNCTION@ @PROGRAM@; fi
