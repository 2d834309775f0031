# Completion of mechane for bash: source <(mechane completion bash)
_mechane() {
    local IFS=$'\n' socket="" place
    local -a words
    # COMP_WORDS is split at : and =, which URIs and NAME=VALUE contain: take the line's own words.
    read -r -d '' -a words < <(printf '%s' "${COMP_LINE:0:COMP_POINT}" | tr -s ' \t' '\n') || true
    [[ "${COMP_LINE:0:COMP_POINT}" == *[[:space:]] ]] && words+=("")
    for ((place = 1; place < ${#words[@]} - 1; place++)); do
        [[ ${words[place]} == --socket ]] && socket=${words[place + 1]}
    done
    if [[ ${words[${#words[@]} - 2]} == --socket ]]; then
        COMPREPLY=($(compgen -f -- "${words[-1]}"))
        compopt -o filenames 2>/dev/null
        return
    fi
    COMPREPLY=($(MECHANE_COMPLETE_SOCKET=$socket "${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null))
    # Bash replaces only what follows the last colon.
    local prefix=${words[-1]%"${words[-1]##*:}"} index
    if [[ -n $prefix && $COMP_WORDBREAKS == *:* ]]; then
        for index in "${!COMPREPLY[@]}"; do COMPREPLY[index]=${COMPREPLY[index]#"$prefix"}; done
    fi
}
complete -o bashdefault -o default -F _mechane mechane
