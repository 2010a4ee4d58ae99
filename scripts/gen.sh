#!/bin/sh
# Runs every generator: an executable file in scripts/gen/ that prints one file, whose path stands in its first
# comment line as "generates: <path>". With --check nothing is written; stale files are named.
set -eu
cd "$(dirname "$0")/.."

code=0
for generator in scripts/gen/*; do
    target=$(sed -n 's/^[#" ]*generates: *//p' "$generator" | head -n 1)
    [ -n "$target" ] || { echo "$generator: says not what it generates" >&2; exit 2; }
    fresh=$(mktemp)
    "$generator" >"$fresh"
    if ! cmp -s "$fresh" "$target"; then
        if [ "${1:-}" = --check ]; then
            echo "$target: stale, run \`make gen\`"
            code=1
        else
            mkdir -p "$(dirname "$target")"
            cat "$fresh" >"$target"
            echo "$target"
        fi
    fi
    rm -f "$fresh"
done
exit $code
