#!/bin/sh
# Installs what is missing from Debian 12, as root or with sudo.
#   scripts/setup.sh [group...]     build, test, lint, cover; none named: all
# Does nothing, and asks for nothing, when nothing is missing.
set -eu

# group  package
PACKAGES='
build  gcc
build  libc6-dev
build  make
build  cmake
build  ninja-build
build  pkg-config
build  libuv1-dev
build  libck-dev
build  liburcu-dev
build  libxxhash-dev
build  libisal-dev
build  uthash-dev
build  libssl-dev
build  libpcre2-dev
build  libargon2-dev
build  libjansson-dev
build  libcurl4-openssl-dev
test   libcmocka-dev
test   clang
test   libclang-rt-14-dev
test   python3
test   python3-venv
test   ca-certificates
test   librabbitmq-dev
test   rabbitmq-server
test   prometheus
test   nagios-plugins-rabbitmq
lint   git
lint   python3
lint   clang-format
lint   clang-tidy
cover  gcovr
'

wanted=''
for group in ${*:-build test lint cover}; do
    found=$(printf '%s' "$PACKAGES" | sed -n "s/^$group  *//p")
    [ -n "$found" ] || { echo "setup: no group '$group'" >&2; exit 2; }
    wanted="$wanted $found"
    # Any Node will do, wherever it comes from: Debian's only when there is none.
    if [ "$group" = test ] && ! { command -v node && command -v npm; } >/dev/null; then
        wanted="$wanted nodejs npm"
    fi
done

installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
    sed -n 's/^installed //p') || true
missing=''
for package in $wanted; do
    printf '%s\n' "$installed" | grep -qx "$package" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=''
elif command -v sudo >/dev/null; then
    as_root=sudo
else
    echo "setup: needs root to install:$missing" >&2
    exit 1
fi

# RabbitMQ and Prometheus are only for tests: their services must neither start now nor take ports at the next boot.
policy=/usr/sbin/policy-rc.d
policy_is_ours=false
clean_up() {
    if $policy_is_ours; then
        $as_root rm -f "$policy"
    fi
}
case " $missing " in
*' rabbitmq-server '* | *' prometheus '*)
    if [ ! -e "$policy" ]; then
        trap clean_up EXIT
        trap 'exit 1' HUP INT TERM
        policy_is_ours=true
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod 755 "$policy"
    fi
    ;;
esac

echo "setup: installing$missing"
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
    -o DPkg::Lock::Timeout=300 install $missing </dev/null >/dev/null

if [ -d /run/systemd/system ]; then
    case " $missing " in
    *' rabbitmq-server '*) $as_root systemctl --quiet disable --now rabbitmq-server.service epmd.socket epmd.service || true ;;
    esac
    case " $missing " in
    *' prometheus '*) $as_root systemctl --quiet disable --now prometheus.service || true ;;
    esac
fi
