# What the scripts here share. They set `root`, the checkout, and `work`, a folder for everything that they make.
set -Eeuo pipefail
trap 'echo "failed with $?: $BASH_COMMAND" >&2' ERR
export PIP_DISABLE_PIP_VERSION_CHECK=1

step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

# Run pytest with the interpreter $1 from outside the checkout: what is tested is what was installed. A run that hangs ends, and
# one of a lane that is given up ends with it, because it stays in the process group of the lane (--foreground).
tests() {
    local python=$1
    shift
    (cd "$work" && timeout --foreground 1800 "$python" -m pytest -q -c "$root/pyproject.toml" --rootdir "$root" -p no:cacheprovider "$@")
}

# Print an interpreter for Python 3.$1 that makes environments and has the headers that a build needs; fail where there is none.
find_python() {
    local python
    for python in "python3.$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/3.$1".*/bin/python; do
        if "$python" - "$1" 2>/dev/null <<'PROBE'
import ensurepip, pathlib, sys, sysconfig, venv
headers = pathlib.Path(sysconfig.get_path("include"), "Python.h")
sys.exit(sys.version_info[:2] != (3, int(sys.argv[1])) or not headers.exists())
PROBE
        then
            echo "$python"
            return
        fi
    done
    return 1
}
