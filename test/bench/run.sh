#!/bin/sh
# The whole comparison (`make bench`); options as for compare.py.
exec python3 "$(dirname "$0")/compare.py" "$@"
