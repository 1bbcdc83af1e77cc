# Holds the folder of one run of the tests.
#   sh -c "$(cat run_folder.sh)" run FOLDER
# Each line on stdin is the process group of the tests, or empty when they are over. The end of stdin means that
# xtask is gone, however it went: end the tests, remove the folder.
folder=$1
group=

finish() {
    trap '' HUP INT TERM
    if [ -n "$group" ]; then
        kill -s TERM -- "-$group" 2>/dev/null
        sleep 1
        kill -s KILL -- "-$group" 2>/dev/null
    fi
    # Servers in here have guardians of their own, which lost their owners just now: they go first.
    tries=0
    while [ "$tries" -lt 900 ] && [ -n "$(ls -d "$folder"/tenantry-* 2>/dev/null)" ]; do
        tries=$((tries + 1))
        sleep 0.05
    done
    rm -rf "$folder"
}

trap finish EXIT
trap 'exit 143' HUP INT TERM
while read -r line; do group=$line; done
