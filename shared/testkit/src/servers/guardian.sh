# Stands between a test process and one database server, and holds the server's folder.
#   sh -c "$(cat guardian.sh)" guardian FOLDER STOP-SIGNAL CRASH-SIGNAL
# Orders come as lines on stdin: init, start, stop, crash. Each is answered by one line: the exit status.
# The end of stdin means that our owner is gone, however it went: stop the server, remove the folder, end.
folder=$1 stop_signal=$2 crash_signal=$3
server=

launch() {
    rm -f "$folder/pid" "$folder/exit"
    # start.sh writes its own pid and becomes the server by exec, so that the pid is the server's.
    (
        sh "$folder/start.sh" </dev/null >>"$folder/server.log" 2>&1
        echo "$?" >"$folder/exit.new"
        mv "$folder/exit.new" "$folder/exit"
    ) &
    tries=0
    until [ -s "$folder/pid" ] || [ -e "$folder/exit" ]; do
        tries=$((tries + 1))
        [ "$tries" -gt 3000 ] && return 1
        sleep 0.02
    done
    server=$(cat "$folder/pid" 2>/dev/null)
}

halt() {
    [ -n "$server" ] && [ ! -e "$folder/exit" ] || return 0
    kill -s "$1" "$server" 2>/dev/null
    tries=0
    until [ -e "$folder/exit" ]; do
        tries=$((tries + 1))
        [ "$tries" -eq 600 ] && kill -s KILL "$server" 2>/dev/null
        [ "$tries" -gt 700 ] && return 1
        sleep 0.05
    done
}

finish() {
    trap '' HUP INT TERM
    halt "$stop_signal"
    # A server that was killed may have children that still write for a moment.
    rm -rf "$folder" 2>/dev/null || { sleep 1; rm -rf "$folder"; }
}

trap finish EXIT
trap 'exit 143' HUP INT TERM
# An answer to an owner that is gone must not end us before we have cleaned up.
trap '' PIPE

while read -r order; do
    case $order in
    init) sh "$folder/init.sh" </dev/null >>"$folder/server.log" 2>&1 ;;
    start) launch ;;
    stop) halt "$stop_signal" ;;
    crash) halt "$crash_signal" ;;
    esac
    echo "$?" 2>/dev/null
done
