# fish completion for @PROGRAM@: put it as @PROGRAM@.fish into ~/.config/fish/completions
function __@FUNCTION@_answer
    set -l words (commandline -opc)
    set -e words[1]
    set -l typed (commandline -ct)
    @PROGRAM@ __complete $words "$typed" 2>/dev/null
end
function __@FUNCTION@_words
    set -l typed (commandline -ct)
    set -l prefix ''
    string match -q -- '--*=*' $typed; and set prefix (string replace -r '=.*' '=' -- $typed)
    for line in (__@FUNCTION@_answer)
        string match -qr '^:[0-9]+$' -- $line; or echo -- $prefix$line
    end
end
function __@FUNCTION@_files
    test (__@FUNCTION@_answer)[-1] = :0
end
complete -c @PROGRAM@ -e
complete -c @PROGRAM@ -n 'not __@FUNCTION@_files' -f -a '(__@FUNCTION@_words)' -k
complete -c @PROGRAM@ -n __@FUNCTION@_files -F
