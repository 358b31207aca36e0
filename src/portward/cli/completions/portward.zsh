#compdef portward
# What may come next, as `portward` itself knows it: ports that are taken now, services of the project, verbs, options.
_portward() {
    local -a found after
    local word about line="${(j: :)words[1,CURRENT-1]} $PREFIX"
    while IFS=$'\t' read -r word about; do
        found+=("${word//:/\\:}:$about")
        [[ $word == *= ]] && after=(-S '')
    done < <($words[1] completion --line="$line" 2>/dev/null)
    if (( $#found )); then
        _describe -t values portward found $after
    else
        _files
    fi
}
if [[ $funcstack[1] == _portward ]]; then
    _portward "$@"
else
    compdef _portward portward
fi
