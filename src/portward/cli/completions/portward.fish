# What may come next, as `portward` itself knows it: ports that are taken now, services of the project, verbs, options.
function __portward_next
    set -l line (commandline --cut-at-cursor --current-process)
    portward completion --line="$line" 2>/dev/null
end
complete --command portward --no-files --arguments '(__portward_next)'
complete --command portward --condition 'test -z "$(__portward_next)"' --force-files
