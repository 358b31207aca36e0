#!/bin/bash
# The real servers that `tests/test_server_matrix.py` and `tests/test_identify_real.py` start, in the folder DIR: `PYTHON=python3.12 .ci/servers.sh DIR`.
#
# DIR/python is a virtual environment, DIR/js has Vite. redis-server, postgres, nginx and others are the system's (see .ci/run).
# With PORTWARD_SOAK=1, DIR/heavy, DIR/webui and DIR/llama have servers of several gigabytes. What is there already is left as it is.
# Export PORTWARD_TEST_SERVERS=DIR for the tests.
set -euo pipefail
[[ $# == 1 ]] || { sed -n '2,6s/^# *//p' "$0" >&2; exit 2; }
mkdir -p "$1"
DIR=$(cd "$1" && pwd)

environment() { # NAME PACKAGE…: a virtual environment DIR/NAME
    local folder=$DIR/$1
    shift
    [[ ! -e $folder/made ]] || return 0
    "${PYTHON:-python3}" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "$@"
    touch "$folder/made"
}

vite() {
    [[ ! -e $DIR/js/node_modules/.bin/vite ]] || return 0
    mkdir -p "$DIR/js"
    echo '{"private": true}' >"$DIR/js/package.json"
    (cd "$DIR/js" && npm install --no-audit --no-fund --silent vite@6 @modelcontextprotocol/inspector@2)
}

environment python uvicorn gunicorn hypercorn daphne granian waitress flask django streamlit jupyter-server &
vite
wait $!
if [[ ${PORTWARD_SOAK:-} == 1 ]]; then
    environment heavy gradio mlflow chromadb
    environment webui open-webui
    environment llama xllamacpp gguf numpy
fi
