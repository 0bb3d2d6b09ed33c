"""The functions each shell is given. They only ask; every decision is in `ota.cli.completion`.

Source: commands specification 23.
"""

BASH = r"""# Completion of ota for bash.
_ota() {
    local line=${COMP_LINE:0:COMP_POINT} word current="" program=${COMP_WORDS[0]}
    local -a words=()
    # bash cuts words at `:` and `=` as well: what had no blank between belongs together again
    for word in "${COMP_WORDS[@]:0:COMP_CWORD+1}"; do
        if [[ $line == [[:space:]]* || ${#words[@]} -eq 0 ]]; then
            line=${line#"${line%%[![:space:]]*}"}
            words+=("")
        fi
        [[ $line == "$word"* ]] || word=$line
        line=${line#"$word"}
        words[${#words[@]}-1]+=$word
    done
    current=${words[${#words[@]}-1]}
    # only what stands behind the last cut is replaced, so only that may be offered
    local cut="" breaks="" quote=""
    case $current in
        \"* | \'*) quote=${current:0:1} ;;
        *)
            [[ $COMP_WORDBREAKS == *:* ]] && breaks+=":"
            [[ $COMP_WORDBREAKS == *=* ]] && breaks+="="
            [[ -n $breaks ]] && cut=${current%"${current##*[$breaks]}"}
            ;;
    esac
    words=("${words[@]//[\"\'\\]/}")
    [[ $program == "~"* ]] && program=ota
    local candidate IFS=$'\n'
    COMPREPLY=()
    for candidate in $(COMPLETE=bash "$program" -- "${words[@]}" 2>/dev/null); do
        candidate=${candidate%%$'\t'*}
        [[ -n $quote ]] || printf -v candidate '%q' "$candidate"
        COMPREPLY+=("${candidate#"$cut"}")
    done
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == */ ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _ota ota
"""

ZSH = r"""#compdef ota
# Completion of ota for zsh.
_ota() {
    local -a lines values shown folders
    local line value program=${(Q)words[1]}
    [[ $program == '~'* ]] && program=ota
    lines=("${(@f)$(COMPLETE=zsh "$program" -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for line in $lines; do
        value=${line%%$'\t'*}
        if [[ $value == */ ]]; then
            folders+=("$value")
        elif [[ $line == *$'\t'* ]]; then
            values+=("$value")
            shown+=("$value  -- ${line#*$'\t'}")
        else
            values+=("$value")
            shown+=("$value")
        fi
    done
    (( $#folders )) && compadd -S '' -a folders
    (( $#values )) && compadd -V ota -l -d shown -a values
    (( $#values + $#folders ))
}
if [[ ${funcstack[1]} == _ota ]]; then
    _ota "$@"
elif (( $+functions[compdef] )); then
    compdef _ota ota
fi
"""

FISH = r"""# Completion of ota for fish.
function __ota_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct | string unescape)
    COMPLETE=fish command $words[1] -- $words "$current" 2>/dev/null
end
complete -c ota -e
complete -c ota -f -k -a '(__ota_complete)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
