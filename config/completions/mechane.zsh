#compdef mechane
# Completion of mechane for zsh: mechane completion zsh > a folder of $fpath, as _mechane
_mechane() {
    local socket="" place
    for ((place = 2; place < CURRENT; place++)); do
        [[ ${words[place]} == --socket ]] && socket=${words[place + 1]}
    done
    if [[ ${words[CURRENT - 1]} == --socket ]]; then
        _files
        return
    fi
    local -a found
    found=("${(@f)$(MECHANE_COMPLETE_SOCKET=$socket ${words[1]} __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    found=(${found:#})
    if (( ${#found} )); then
        compadd -Q -a found
    else
        _files
    fi
}
if [[ ${funcstack[1]} == _mechane ]]; then
    _mechane "$@"
else
    compdef _mechane mechane
fi
