#!/bin/sh
# Adds to test/fuzz/corpus the inputs that `make fuzz` gathered and that reach code which no kept input reaches.
set -eu
cd "$(dirname "$0")/.."
for target in build/fuzz/test/fuzz_*; do
    name=${target##*/fuzz_}
    mkdir -p "test/fuzz/corpus/$name" "build/fuzz/corpus/$name"
    "$target" -merge=1 "test/fuzz/corpus/$name" "build/fuzz/corpus/$name" 2>/dev/null
    echo "$name: $(find "test/fuzz/corpus/$name" -type f | wc -l) inputs"
done
