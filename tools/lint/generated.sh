#!/bin/sh
# Generated files are kept in the tree and must be what their generator gives today.
#   generated.sh [ROOT]
cd "${1:-.}" || exit 2
exec scripts/gen.sh --check
