#!/bin/sh
# Shows every check really failing: each runs on a small clean tree, which it must accept, and then on the same
# tree with one thing wrong, which it must refuse for the right reason.
set -eu
lint=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$lint/../.." && pwd)
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT

clean_tree() {
    rm -rf "$tree"
    mkdir -p "$tree/src/base" "$tree/src/engine" "$tree/tools" "$tree/test" "$tree/scripts/gen" "$tree/docs/internals"
    cp "$root/.clang-format" "$root/.clang-tidy" "$tree"
    cp "$root/scripts/gen.sh" "$tree/scripts"
    printf 'int lv_two(void);\n' >"$tree/src/base/two.h"
    printf '#include "base/two.h"\n\nint lv_two(void)\n{\n    return 2;\n}\n' >"$tree/src/base/two.c"
    printf '#include "base/two.h"\n\nint lv_three(void);\n\nint lv_three(void)\n{\n    return lv_two() + 1;\n}\n' \
        >"$tree/src/engine/three.c"
    for room in base engine; do
        echo "# $room" >"$tree/src/$room/README.md"
    done
    printf '#!/bin/sh\n# generates: docs/made.md\necho made\n' >"$tree/scripts/gen/made.sh"
    chmod +x "$tree/scripts/gen/made.sh"
    echo made >"$tree/docs/made.md"
    echo '# Locks' >"$tree/docs/internals/locks.md"
    cat >"$tree/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.25)
project(sample LANGUAGES C)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
add_library(sample STATIC src/base/two.c src/engine/three.c)
target_include_directories(sample PRIVATE src)
CMAKE
}

code=0
# refuses <check> <words it must say> <shell text that spoils the tree>
refuses() {
    clean_tree
    if ! said=$("$lint/$1" "$tree" 2>&1); then
        echo "$1 refuses a clean tree: $said"
        code=1
        return 0
    fi
    (cd "$tree" && eval "$3")
    if said=$("$lint/$1" "$tree" 2>&1); then
        echo "$1 accepts: $3"
        code=1
    elif ! printf '%s' "$said" | grep -q "$2"; then
        echo "$1 refuses, but not for \"$2\": $said"
        code=1
    else
        echo "$1 refuses \"$2\""
    fi
}

base=src/base/two.c
refuses layers.py 'src/base may not include src/engine' "echo '#include \"engine/three.h\"' >>$base"
refuses layers.py '_priv.h header stays inside'  "echo '#include \"base/two_priv.h\"' >>src/engine/three.c"
refuses layers.py 'name the header by its room'  "echo '#include \"two.h\"' >>$base"
refuses layers.py 'no line in'                   'mkdir src/new && echo >src/new/new.c'
refuses bans.py 'lv_mem_'                        "echo 'void *p = malloc(1);' >>$base"
refuses bans.py 'the clock of os'                "echo 'long t = time(0);' >>$base"
refuses bans.py 'rooms do not print'             "echo 'int n = printf(\"x\");' >>$base"
refuses bans.py 'a bounded form'                 "echo 'int n = sprintf(b, \"x\");' >>$base"
refuses bans.py 'a cursor'                       "echo 'char *w = strtok(b, c);' >>$base"
refuses bans.py 'reports bad input'              "echo 'int n = atoi(b);' >>$base"
refuses bans.py 'LV_ASSERT'                      "echo 'void f(void) { assert(1); }' >>$base"
refuses readmes.sh 'src/engine: no README.md'    'rm src/engine/README.md'
refuses locks.sh 'two.c: shares something'       "echo 'static _Atomic int n;' >>$base"
refuses words.py 'a path of one machine'         "echo '/home''/someone/x' >>docs/made.md"
refuses words.py 'registry of one'               "echo 'registry=http''://here.example/' >>docs/made.md"
refuses words.py 'a private address'             "echo '192.''168.1.1' >>docs/made.md"
refuses format.sh 'two.c:.*house format'         "echo 'int  x ;' >>$base"
refuses generated.sh 'docs/made.md: stale'       'echo old >docs/made.md'
refuses tidy.py 'bugprone-integer-division'      "echo 'double lv_s(int a); double lv_s(int a) { return 7 / a; }' >>$base"
refuses tidy.py 'cert-flp30-c'                   "echo 'void lv_s(void); void lv_s(void) { for (float f = 0; f < 9; f++) lv_two(); }' >>$base"
exit $code
