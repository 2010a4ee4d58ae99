#!/bin/sh
# Brings build/venv in line with test/interop/requirements.txt; nothing to do while the list is the same.
set -eu
cd "$(dirname "$0")/.."

list=test/interop/requirements.txt
venv=build/venv
stamp=$venv/.installed
want=$( (cat "$list"; python3 --version) | sha256sum)

if [ "$(cat "$stamp" 2>/dev/null)" = "$want" ]; then
    exit 0
fi
echo "python-env: installing $list into $venv"
rm -f "$stamp"
python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r "$list"
printf '%s\n' "$want" >"$stamp"
