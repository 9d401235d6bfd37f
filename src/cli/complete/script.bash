# bash completion for @PROGRAM@: source it, or put it into /usr/share/bash-completion/completions/@PROGRAM@
__@FUNCTION@() {
    local line=${COMP_LINE:0:COMP_POINT} words=() word directive out answer
    # bash parts words at : and = too, a command line does not.
    local COMP_WORDBREAKS=$' \t\n'
    read -r -a words <<< "${line}x"
    word=${words[${#words[@]}-1]%x}
    out=$(@PROGRAM@ __complete "${words[@]:1:${#words[@]}-2}" "$word" 2> /dev/null) || return
    directive=${out##*:}
    COMPREPLY=()
    while IFS= read -r answer; do
        answer=${answer%%$'\t'*}
        [[ -n $answer && $answer != :* ]] && COMPREPLY+=("$answer")
    done <<< "$out"
    if ((directive & 2)); then compopt -o nospace; fi
    if ((directive & 32)) && ((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1] >= 404)); then compopt -o nosort; fi
    if ((${#COMPREPLY[@]} == 0 && (directive & 4) == 0)); then compopt -o default; fi
    # What readline takes for the word begins after the last break.
    local head=${word%"${word##*[:=]}"}
    if [[ $word != --*=* ]]; then COMPREPLY=("${COMPREPLY[@]#"$head"}"); fi
}
complete -F __@FUNCTION@ @PROGRAM@
