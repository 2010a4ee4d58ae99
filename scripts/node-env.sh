#!/bin/sh
# Brings build/node/node_modules in line with test/interop/node/package.json; nothing to do while it is the same.
set -eu
cd "$(dirname "$0")/.."

source=test/interop/node
target=build/node
stamp=$target/.installed
[ -f "$source/package.json" ] || exit 0
want=$( (cat "$source"/package*.json; node --version) | sha256sum)

if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then
    exit 0
fi
echo "node-env: installing $source/package.json into $target"
mkdir -p "$target"
rm -f "$stamp"
cp "$source"/package*.json "$target"
if [ -f "$target/package-lock.json" ]; then
    (cd "$target" && npm ci --silent --no-audit --no-fund)
else
    (cd "$target" && npm install --silent --no-audit --no-fund)
fi
printf '%s\n' "$want" >"$stamp"
