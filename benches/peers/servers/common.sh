# For the scripts beside it, which `. ` this file. Each is one server:
#   NAME version   says which version there is; exit code 3 and what is missing where there is none
#   NAME PORT      becomes the server on 127.0.0.1:PORT, in the foreground and with its own pid
# shellcheck shell=sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
built=$target/${PEERS_PROFILE:-release}
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true

# need PROGRAM PACKAGE: ends with what is missing.
need() {
    PATH=$PATH:/usr/sbin
    command -v "$1" >/dev/null || missing "$1 is not installed; Debian's package is $2"
}

missing() {
    echo "missing: $1" >&2
    exit 3
}

# need_built FILE COMMAND
need_built() {
    test -x "$1" || missing "it is not built; cargo build $2"
}

asks_version() {
    test "${1:?PORT or the word version}" = version
}
