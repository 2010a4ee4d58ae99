#!/bin/sh
# The house format of every C file: reports, or with --fix rewrites.
#   format.sh [--fix] [ROOT]
set -eu
mode='--dry-run --Werror'
if [ "${1:-}" = --fix ]; then
    mode=-i
    shift
fi
cd "${1:-.}"
find src tools test include -name '*.[ch]' 2>/dev/null | sort | xargs -r clang-format --style=file $mode
