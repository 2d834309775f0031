# Completion of mechane for fish: mechane completion fish > ~/.config/fish/completions/mechane.fish
function __mechane_candidates
    set -l words (commandline -opc)
    set -l last (commandline -ct)
    set -l socket ""
    for place in (seq 2 (count $words))
        if test "$words[$place]" = --socket; and test $place -lt (count $words)
            set socket $words[(math $place + 1)]
        end
    end
    env MECHANE_COMPLETE_SOCKET=$socket $words[1] __complete -- $words[2..-1] "$last" 2>/dev/null
end
complete -c mechane -n 'not __fish_seen_subcommand_from define create' -f
complete -c mechane -a '(__mechane_candidates)'
