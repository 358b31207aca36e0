#!/bin/bash
# A private Docker Engine for tests, beside any other engine of the machine. Needs root; everything of it is in DIR.
#
#   .ci/engine.sh start DIR [dockerd options]    it answers at DIR/docker.sock
#   .ci/engine.sh stop DIR                       ends it with all its containers, and removes DIR
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin
[[ $# -ge 2 && $1 =~ ^(start|stop)$ ]] || { sed -n '4,5s/^# *//p' "$0" >&2; exit 2; }
VERB=$1 DIR=$(realpath -m -- "$2")
shift 2
TAG=$(sha1sum <<<"$DIR" | cut -c1-7) # the same folder, the same names
BRIDGE=pw$TAG CHAIN=PW$TAG SOCKET=$DIR/docker.sock

fail() { echo "engine.sh: $*" >&2; exit 1; }
answers() { curl --silent --fail --max-time 2 --unix-socket "$SOCKET" http://localhost/_ping >/dev/null; }
alive() { grep -qsF "${1:-}" "/proc/$PID/cmdline"; } # a zombie, which nobody may reap here, has no command line

free_network() { # the first 10.N that no address, route or name server of this machine is in
    local used n
    used=$(ip -4 address show; ip -4 route show table all; cat /etc/resolv.conf || true)
    for ((n = 130 + 16#${TAG:0:2} % 100; n < 250; n++)); do
        grep -qE "(^|[^0-9.])10\.$n\." <<<"$used" || { echo "10.$n"; return; }
    done
}

# dockerd empties the chains named DOCKER when it starts: two engines on one machine undo each other. Ours is therefore
# given this iptables, which has other names for them.
write_iptables() {
    local real
    for real in iptables iptables-legacy iptables-nft; do "$real" -w -t nat -S >/dev/null 2>&1 && break; done
    echo "$real" >"$DIR/iptables"
    cat >"$DIR/bin/iptables" <<END
#!/bin/bash
words=(); for word; do [[ \$word =~ ^DOCKER(-|$) ]] && word=$CHAIN\${word#DOCKER}; words+=("\$word"); done
output=\$($(command -v "$real") "\${words[@]}" 2>&1); status=\$?
output=\$(grep -v '^# Warning: ' <<<"\$output") && echo "\${output//$CHAIN/DOCKER}" | sed '/^$/d'
exit \$status
END
    chmod 755 "$DIR/bin/iptables"
}

# Runs dockerd in a mount namespace of its own, where the system's containerd is out of its sight and missing control
# groups can be mounted, and in a PID namespace of its own: all that it ever starts ends with the namespace's first process.
launch() {
    rm -f "$SOCKET" "$DIR/dockerd.pid"
    PATH=$DIR/bin:$PATH setsid unshare --mount --propagation slave --pid --fork --mount-proc bash -c '
        mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd
        if [[ ! -e /sys/fs/cgroup/cgroup.controllers && ! -e /sys/fs/cgroup/devices ]]; then
            mount -t tmpfs tmpfs /sys/fs/cgroup
            for name in $(awk "\$2 && \$4 == 1 {print \$1}" /proc/cgroups); do
                mkdir "/sys/fs/cgroup/$name" && mount -t cgroup -o "$name" cgroup "/sys/fs/cgroup/$name" || rmdir "/sys/fs/cgroup/$name"
            done
            [[ -e /sys/fs/cgroup/devices ]] || mount -t cgroup2 cgroup2 /sys/fs/cgroup
        fi
        "$@" & wait $!' engine \
        dockerd --host="unix://$SOCKET" --pidfile="$DIR/dockerd.pid" --data-root="$DIR/data" --exec-root="$DIR/exec" \
        --config-file="$DIR/daemon.json" --exec-opt=native.cgroupdriver=cgroupfs --bridge="$BRIDGE" --ip-forward=false \
        --ip6tables=false --default-address-pool="base=$NETWORK.128.0/17,size=24" --storage-driver="$@" \
        >>"$DIR/log" 2>&1 </dev/null &
    PID=$!
    echo "$PID" >"$DIR/pid"
    for ((i = 0; i < 150; i++)); do
        ! answers || return 0
        alive && sleep 0.2 || return 1
    done
}

halt() { # ends the namespace's first process, and with it all others; then removes what the kernel keeps
    local network iptables bridges table action
    network=$(cat "$DIR/network") iptables=$(cat "$DIR/iptables") PID=$(cat "$DIR/pid")
    ! alive "$SOCKET" || pkill -KILL -P "$PID" || true
    for ((i = 0; i < 100; i++)); do ! alive "$SOCKET" || sleep 0.1; done
    bridges=$(ip -o -4 address show | awk -v net="$network." 'index($4, net) == 1 {print $2}') # those of compose too
    for table in raw nat filter; do
        { "$iptables-save" -t $table | grep -E "^-A .*(${bridges//$'\n'/|}|$CHAIN| ${network/./\\.}\.)" | sed 's/^-A/-D/' |
            xargs -r -L1 "$iptables" -w -t $table; } 2>/dev/null || true
        for action in -F -X; do
            "$iptables-save" -t $table 2>/dev/null | sed -n "s/^:\($CHAIN[^ ]*\).*/\1/p" | xargs -rn1 "$iptables" -w -t $table $action
        done
    done
    for bridge in $bridges; do ip link delete "$bridge"; done
    for folder in "$DIR"/data/containers/*/; do rmdir /sys/fs/cgroup/{,*/}docker/"$(basename "$folder")" 2>/dev/null || true; done
}

if [[ $VERB == stop ]]; then
    [[ -e $DIR/pid ]] || fail "there is no engine in $DIR"
    halt
    rm -rf --one-file-system "$DIR"
    exit
fi
[[ ! -e $DIR ]] || fail "$DIR exists"
mkdir -p "$DIR/bin"
chmod 755 "$DIR" # an unprivileged user is to be refused by the socket, not by the folder
echo '{}' >"$DIR/daemon.json" # instead of the machine's own settings
NETWORK=$(free_network)
echo "$NETWORK" >"$DIR/network"
write_iptables
ip link add "$BRIDGE" type bridge
ip address add "$NETWORK.0.1/24" dev "$BRIDGE"
ip link set "$BRIDGE" up
for driver in overlay2 vfs; do # vfs is slow, but works on every file system
    ! launch "$driver" "$@" || exit 0
done
tail -n 40 "$DIR/log" >&2
halt
fail "the engine does not start; its log is $DIR/log"
