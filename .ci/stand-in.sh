#!/bin/bash
# Imports the image portward-stand-in:latest into the engine at the socket $1: a static busybox that can stand in for any
# service. Nothing is downloaded.
set -euo pipefail
ROOT=$(mktemp -d)
trap 'rm -rf "$ROOT"' EXIT
mkdir -p "$ROOT"/{bin,etc,proc,sys,dev,tmp,www}
cp -L "$(command -v busybox)" "$ROOT/bin/busybox"
for applet in sh httpd nc sleep wget; do ln -s busybox "$ROOT/bin/$applet"; done
echo 'root:x:0:0:root:/:/bin/sh' >"$ROOT/etc/passwd"
echo 'stand-in' >"$ROOT/www/index.html"
tar --create --directory "$ROOT" --owner=0 --group=0 --numeric-owner . |
    docker --host "unix://$1" import --change 'ENV PATH=/bin' --change 'CMD ["httpd","-f","-p","80","-h","/www"]' \
        - portward-stand-in:latest
