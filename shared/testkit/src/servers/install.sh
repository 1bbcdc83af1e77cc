# Installs a Debian package (or its Fedora namesake) as root without starting a service or making a cluster of it.
#   sh -c "$(cat install.sh)" install PACKAGE
set -e

apt() {
    export DEBIAN_FRONTEND=noninteractive
    policy=/usr/sbin/policy-rc.d
    cluster=/etc/postgresql-common/createcluster.d/tenantry-testkit.conf
    ours=
    trap '[ -z "$ours" ] || rm -f "$policy"; rm -f "$cluster"' EXIT
    # 101: "not allowed". A policy that somebody else made is theirs.
    if [ ! -e "$policy" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    mkdir -p "${cluster%/*}"
    echo 'create_main_cluster = false' >"$cluster"
    apt-get update
    apt-get install -y --no-install-recommends "$@"
}

if command -v apt-get; then
    apt "$@"
elif command -v dnf; then
    # Its packages start nothing, and its `postgresql` is the client.
    [ "$1" != postgresql ] || set -- postgresql-server
    dnf install -y "$@"
else
    echo "neither apt-get nor dnf is here"
    exit 1
fi
