#!/bin/bash
# The real servers that `tests/test_server_matrix.py` starts, in the folder DIR: `PYTHON=python3.12 .ci/servers.sh DIR`.
#
# DIR/python is a virtual environment, DIR/js has Vite. redis-server, postgres and nginx are the system's (see .ci/run).
# What is there already is left as it is. Export PORTWARD_TEST_SERVERS=DIR for the tests.
set -euo pipefail
[[ $# == 1 ]] || { sed -n '2,5s/^# *//p' "$0" >&2; exit 2; }
mkdir -p "$1"
DIR=$(cd "$1" && pwd)

python_servers() {
    [[ ! -e $DIR/python/made ]] || return 0
    "${PYTHON:-python3}" -m venv "$DIR/python"
    "$DIR/python/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
        uvicorn gunicorn hypercorn daphne granian waitress flask django streamlit jupyter-server
    touch "$DIR/python/made"
}

vite() {
    [[ ! -e $DIR/js/node_modules/.bin/vite ]] || return 0
    mkdir -p "$DIR/js"
    echo '{"private": true}' >"$DIR/js/package.json"
    (cd "$DIR/js" && npm install --no-audit --no-fund --silent vite@6)
}

python_servers &
vite
wait $!
