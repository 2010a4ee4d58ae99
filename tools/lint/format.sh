#!/bin/sh
# The house format of every C file: reports, or with --fix rewrites.
#   format.sh [--fix] [ROOT]
set -eu
fix=false
if [ "${1:-}" = --fix ]; then
    fix=true
    shift
fi
cd "${1:-.}"
files=$(find src tools test include -name '*.[ch]' 2>/dev/null | sort)
if $fix; then
    printf '%s\n' "$files" | xargs clang-format --style=file -i
else
    # The first place in each file is enough: the cure is the same for all.
    wrong=$(printf '%s\n' "$files" | xargs clang-format --style=file --dry-run 2>&1 |
        sed -n 's/^\([^ ]*\): warning: code should be clang-formatted.*/\1: not in the house format: make fmt/p' |
        sort -t: -k1,1 -u)
    [ -z "$wrong" ] || { printf '%s\n' "$wrong"; exit 1; }
fi
