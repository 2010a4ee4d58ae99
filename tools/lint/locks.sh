#!/bin/sh
# Every file that locks, or shares words between threads, stands in docs/internals/locks.md.
#   locks.sh [ROOT]
cd "${1:-.}" || exit 2
code=0
shared='\<_Atomic\>|\<atomic_[a-z]+_t\>|(pthread|uv)_(mutex|rwlock|spin|cond|once|barrier)|\<uv_sem_|\<sem_(init|wait|post)|\<ck_(spinlock|rwlock)'
for file in $(grep -rlE --include='*.[ch]' "$shared" src | sort); do
    if ! grep -qF "\`${file#src/}\`" docs/internals/locks.md; then
        echo "$file: shares something between threads and is not in docs/internals/locks.md"
        code=1
    fi
done
exit $code
