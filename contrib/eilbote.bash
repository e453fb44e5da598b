# SPDX-License-Identifier: ISC
# bash completion for eilbote: commands and options come from the program itself.
_eilbote()
{
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
    local commands first='' second='' at
    case $previous in
    -c | --dir | --data | --trust-anchor) compopt -o default; COMPREPLY=(); return ;;
    esac
    commands=$(eilbote --help 2>/dev/null | sed -n 's/^  \([a-z ]*[a-z]\)  .*/\1/p')
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
        -c) at=$((at + 1)) ;;
        -*) ;;
        *) if [ -z "$first" ]; then first=${COMP_WORDS[at]}; elif [ -z "$second" ]; then second=${COMP_WORDS[at]}; fi ;;
        esac
    done
    if [ -z "$first" ]; then
        mapfile -t COMPREPLY < <(compgen -W "$(cut -d' ' -f1 <<<"$commands" | sort -u) -c --help" -- "$word")
    elif [ -z "$second" ] && grep -q "^$first " <<<"$commands"; then
        mapfile -t COMPREPLY < <(compgen -W "$(sed -n "s/^$first //p" <<<"$commands")" -- "$word")
    else
        grep -qx "$first $second" <<<"$commands" || second=''
        [ "$first $second" != "try message" ] || compopt -o default
        mapfile -t COMPREPLY < <(compgen -W "$(eilbote $first $second --help 2>/dev/null | grep -o -e '--[a-z-]*') -c --json --help" -- "$word")
    fi
}
complete -F _eilbote eilbote
