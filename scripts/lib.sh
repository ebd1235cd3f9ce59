# Set-up that quickstart and test share: Python, Debian packages, the virtual environment.
# shellcheck shell=bash
#
# Source it under `set -euo pipefail`. Every step says one line; what it prints goes to $LOG.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
VENV=$ROOT/.venv
LOG=$ROOT/.setup.log
PYTHON_TEST='import sys, venv, ensurepip, ctypes, ssl, zlib
assert sys.version_info >= (3, 10)
print(getattr(sys, "_base_executable", "") or sys.executable)'

export PIP_DISABLE_PIP_VERSION_CHECK=1
# A setting of the caller's own Python would leak into the environment that is made here.
unset PYTHONHOME PYTHONPATH VIRTUAL_ENV
# Nor is code of the current directory run, whoever put it there. (Python 3.10 doesn't know this; -I stands in.)
export PYTHONSAFEPATH=1

say() { printf '%s\n' "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# step TEXT COMMAND…: run a command with its output in the log, and show the log's tail if it fails.
step() {
    local text=$1
    shift
    say "· $text"
    printf '\n=== %s: %s\n' "$text" "$*" >>"$LOG"
    "$@" >>"$LOG" 2>&1 </dev/null && return
    tail -n 30 "$LOG" >&2
    die "that failed: $text (all of the output: $LOG)"
}

is_root() { [ "$(id -u)" = 0 ]; }

can_install() { is_root && command -v apt-get >/dev/null; }

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"
}

# The lists of packages may be missing or old; they are only fetched if the first try says so.
apt_install() {
    apt_get install --no-install-recommends "$@" && return
    apt_get update || true
    apt_get install --no-install-recommends "$@"
}

apt_install_each() {
    local package
    apt_install "$@" && return
    for package in "$@"; do
        apt_get install --no-install-recommends "$package" || echo "not installable: $package"
    done
}

# find_python: print the real path of a Python >= 3.10 that can make a virtual environment.
# A python3 in PATH may be a shim that picks another version in every directory, so the path is resolved once.
find_python() {
    local name found
    for name in "${PYTHON:-python3}" python3 /usr/bin/python3 python3.13 python3.12 python3.11 python3.10 python3.14; do
        if found=$("$name" -I -c "$PYTHON_TEST" 2>/dev/null) && [ -x "$found" ]; then
            printf '%s\n' "$found"
            return
        fi
    done
    return 1
}

need_python() {
    BASE_PYTHON=$(find_python) && return
    can_install || die "no Python >= 3.10 that can make virtual environments; install it: sudo apt-get install python3 python3-venv"
    step "installing python3 python3-venv" apt_install python3 python3-venv
    BASE_PYTHON=$(find_python) || die "this system's python3 is older than 3.10; name a newer one: PYTHON=/path/to/python3 $0"
}

has_libmagic() { "$BASE_PYTHON" -I -c 'import ctypes; ctypes.CDLL("libmagic.so.1")' 2>/dev/null; }

# Set `missing` of the caller to the packages whose command or path is not there.
find_missing() {
    local pair
    missing=()
    has_libmagic || missing+=(libmagic1)
    for pair in "$@"; do
        command -v "${pair#*=}" >/dev/null || [ -e "${pair#*=}" ] || missing+=("${pair%%=*}")
    done
}

# need_packages PACKAGE=COMMAND…: install the Debian packages whose command is missing (libmagic1 always belongs to them).
need_packages() {
    local missing
    find_missing "$@"
    if [ ${#missing[@]} -gt 0 ] && can_install; then
        step "installing Debian packages: ${missing[*]}" apt_install_each "${missing[@]}"
        find_missing "$@"
    fi
    [ ${#missing[@]} = 0 ] || say "! missing Debian packages, going on without them: sudo apt-get install ${missing[*]}"
}

# What an environment was made from: another directory, another Python or other pins make another one.
fingerprint() {
    {
        printf '%s\n' "$VENV"
        "$BASE_PYTHON" -VV
        cat "$ROOT/constraints.txt" "$ROOT/setup.cfg"
    } | sha256sum | cut -d ' ' -f 1
}

venv_works() {
    [ "$("$VENV/bin/python" -I -c 'import sys, pip; print(sys.prefix)' 2>/dev/null)" = "$VENV" ]
}

# The package magic can't be imported where libmagic is missing, which is for doctor to say; so packages are only looked for.
has_packages() {
    "$VENV/bin/python" -I -c 'import importlib.util, sys
found = {name: importlib.util.find_spec(name) for name in ("hpc_remetrics", "h5py", "isal", "magic", "mpi4py", "numpy")}
sys.exit(not all(found.values()) or not found["hpc_remetrics"].origin.startswith(sys.argv[1] + "/"))' "$ROOT" \
        >/dev/null 2>&1
}

# need_venv EXTRA…: make $VENV what the pins say with these extras, or leave it if it is.
need_venv() {
    local stamp=$VENV/.remetrics-stamp wanted made=() extras
    wanted=$(fingerprint)
    # Two set-ups at once would tear each other's environment; the lock ends with this script or unlock.
    exec 9>"$ROOT/.setup.lock"
    flock 9
    # Where a package's files are gone, pip still takes it for installed; only a new environment mends that.
    if ! venv_works || { [ -e "$stamp" ] && { [ "$(head -n 1 "$stamp")" != "$wanted" ] || ! has_packages; }; }; then
        rm -rf "$VENV"
        step "making the virtual environment $VENV" "$BASE_PYTHON" -I -m venv "$VENV"
    fi
    [ ! -e "$stamp" ] || read -r -a made <<<"$(tail -n 1 "$stamp")"
    extras=$(printf '%s\n' "$@" "${made[@]}" | sed '/^$/d' | sort -u | paste -s -d ' ')
    if [ "$extras" != "${made[*]}" ]; then
        rm -f "$stamp"
        step "installing hpc-remetrics and what it needs (${extras// /, })" \
            "$VENV/bin/python" -I -m pip install -c "$ROOT/constraints.txt" -e "${ROOT}[${extras// /,}]"
        has_libmagic || install_own_libmagic
        printf '%s\n%s\n' "$wanted" "$extras" >"$stamp"
    fi
    exec 9>&-
    # mpirun and the library that mpi4py loads must be of one make.
    PATH=$VENV/bin:$PATH
    export PATH
}

install_own_libmagic() {
    step "installing a libmagic of its own, as the system has none" \
        "$VENV/bin/python" -I -m pip install -c "$ROOT/constraints.txt" pylibmagic
}

# need_validators: programs that judge what tests write, in an environment of their own (the packages that they
# want are many, and not those of ours); they come last in PATH.
need_validators() {
    local directory=$ROOT/.venv-validators list=$ROOT/tests/validators.txt
    PATH=$PATH:$directory/bin
    ! cmp -s "$list" "$directory/installed.txt" || return 0
    rm -rf "$directory"
    step "making the virtual environment $directory" "$BASE_PYTHON" -I -m venv "$directory"
    step "installing validators" "$directory/bin/python" -I -m pip install -q -r "$list"
    cp "$list" "$directory/installed.txt"
}
