#!/bin/sh
# Makes what compose.yaml refers to and no tree holds: passwords in .env, and the services' keys in secrets/. What is there
# already is left as it is. Needs openssl 1.1.1 or newer.
set -eu
cd "$(dirname "$0")"
umask 077

if [ ! -e .env ]; then
    {
        for name in POSTGRES_PASSWORD MARIADB_ROOT_PASSWORD TENANTRY_DATABASE_PASSWORD GRAFANA_PASSWORD; do
            echo "$name=$(openssl rand -hex 24)"
        done
        echo "CATALOG_KEY_ENCRYPTION_KEY=$(openssl rand -base64 32)"
    } > .env.new
    mv .env.new .env
    echo "made $PWD/.env"
fi

base64url() {
    openssl base64 -A | tr '+/' '-_' | tr -d '='
}

# As `<service> generate-key` makes them: a P-256 key in PKCS#8, and its public half in the set that all services share.
if [ ! -e secrets/services.json ]; then
    mkdir -p secrets
    separator=
    {
        echo '{"keys": ['
        for service in catalog migrator crm; do
            openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "secrets/$service.pem"
            # The last 64 bytes of a P-256 public key in DER are its point: x, then y.
            openssl pkey -in "secrets/$service.pem" -pubout -outform DER | tail -c 64 > secrets/point
            x=$(head -c 32 secrets/point | base64url)
            y=$(tail -c 32 secrets/point | base64url)
            printf '%s{"kid": "%s", "kty": "EC", "alg": "ES256", "use": "sig", "crv": "P-256", "x": "%s", "y": "%s"}\n' \
                "$separator" "$service" "$x" "$y"
            separator=,
        done
        echo ']}'
    } > secrets/services.json.new
    rm secrets/point
    # Compose mounts a file as it is, and the images' user is nobody on this machine: so the files are for everybody to
    # read, in a folder that only you can enter.
    chmod 444 secrets/*.pem secrets/services.json.new
    mv secrets/services.json.new secrets/services.json
    echo "made the services' keys in $PWD/secrets"
fi
