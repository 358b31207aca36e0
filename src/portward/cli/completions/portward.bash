# What may come next, as `portward` itself knows it: ports that are taken now, services of the project, verbs, options.
_portward() {
    local line=${COMP_LINE:0:COMP_POINT} word rest current prefix=
    current=${line##*[[:space:]]}
    [[ $COMP_WORDBREAKS == *[:=]* ]] && prefix=${current%"${current##*[:=]}"} # readline has that part already
    COMPREPLY=()
    while IFS=$'\t' read -r word rest; do
        COMPREPLY+=("${word#"$prefix"}")
    done < <("${COMP_WORDS[0]}" completion --line="$line" 2>/dev/null)
    [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -o bashdefault -o default -F _portward portward
