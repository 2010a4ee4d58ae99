#!/bin/sh
# Every room under src/ that holds code says on one screen what it is: README.md.
#   readmes.sh [ROOT]
cd "${1:-.}" || exit 2
code=0
for room in $(find src -name '*.[ch]' -exec dirname {} + | sort -u); do
    case $room in
    */codec) continue ;; # told by its protocol's room
    esac
    if [ ! -s "$room/README.md" ]; then
        echo "$room: no README.md"
        code=1
    fi
done
exit $code
