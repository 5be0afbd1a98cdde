#!/bin/sh
# Secrets come as files and reach only the process that is started: no password stands in an image or a compose file.
set -eu

secret() {
    if [ ! -r "$1" ]; then
        echo "fuseboard-entrypoint: $1 cannot be read by user $(id -u). Make the secret file readable for it." >&2
        exit 1
    fi
    cat "$1"
}

if [ -n "${DATABASE_PASSWORD_FILE:-}" ]; then
    password=$(secret "$DATABASE_PASSWORD_FILE")
    # A password may hold characters that mean something in an address.
    password=$(printf %s "$password" | python -c 'import sys, urllib.parse as u; print(u.quote(sys.stdin.read(), safe=""))')
    server="${DATABASE_USER:-fuseboard}:${password}@${DATABASE_HOST:-postgres}:5432"
    export FUSEBOARD_DATABASE_URL="postgresql://${server}/fuseboard"
    export MLFLOW_BACKEND_STORE_URI="postgresql+psycopg://${server}/mlflow"
    unset password server
fi

# Every node and every driver of a Ray cluster needs both: the mode, and the token.
if [ -n "${RAY_AUTH_TOKEN_FILE:-}" ]; then
    RAY_AUTH_TOKEN=$(secret "$RAY_AUTH_TOKEN_FILE")
    export RAY_AUTH_TOKEN RAY_AUTH_MODE=token
fi

exec "$@"
