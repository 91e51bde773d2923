# Sourced by the other scripts: makes .venv from the hashed lock and the system packages that are missing.
# Usage: . scripts/env.sh LOCKFILE PROGRAM[=PACKAGE]...
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
lock=$1; shift

say() { printf '%s\n' "$*" >&2; }

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then sudo -n "$@"; else return 1; fi; }

install_packages() {
  if command -v apt-get >/dev/null; then as_root apt-get update -qq && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"
  elif command -v dnf >/dev/null; then as_root dnf install -y -q "$@"
  elif command -v apk >/dev/null; then as_root apk add -q "$@"
  elif command -v zypper >/dev/null; then as_root zypper -nq install "$@"
  elif command -v pacman >/dev/null; then as_root pacman -Sy --noconfirm --needed "$@"
  else return 1; fi
}

need() { # need PROGRAM[=PACKAGE]...: what is missing is installed, or named
  local missing=() entry
  for entry in "$@"; do command -v "${entry%%=*}" >/dev/null || missing+=("${entry##*=}"); done
  [ ${#missing[@]} = 0 ] && return 0
  say "installing system packages: ${missing[*]}"
  if install_packages "${missing[@]}" >/tmp/mergewright-packages.$$ 2>&1; then rm -f /tmp/mergewright-packages.$$; else
    say "error: these programs are missing and could not be installed: ${missing[*]}"
    tail -n 3 /tmp/mergewright-packages.$$ >&2; rm -f /tmp/mergewright-packages.$$
    say "hint: install them with this system's package manager, then run this again"
    exit 1
  fi
}

find_python() {
  local name
  for name in python3 python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then command -v "$name"; return; fi
  done
  say "error: Python 3.11 or newer is needed"; say "hint: install python3.11 or newer, then run this again"; return 1
}

make_venv() {
  local python; python=$(find_python) || exit 1
  rm -rf .venv
  if ! "$python" -m venv .venv >/dev/null 2>&1; then # Debian keeps venv in a package of its own
    rm -rf .venv
    install_packages python3-venv >/dev/null 2>&1 && "$python" -m venv .venv || {
      say "error: \`$python -m venv\` does not work"; say "hint: install python3-venv, then run this again"; exit 1; }
  fi
}

need git "$@"
want=$(cat requirements*.lock pyproject.toml scripts/env.sh | cksum)
have=$(cat ".venv/made-from-$lock" 2>/dev/null || true)
if [ "$want" != "$have" ]; then
  say "making .venv from $lock"
  [ -x .venv/bin/python ] && .venv/bin/python -c 'import pip' 2>/dev/null || make_venv
  .venv/bin/python -m pip install -qq --disable-pip-version-check --require-hashes -r "$lock" &&
  PATH="$PWD/.venv/bin:$PATH" .venv/bin/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e . || {
    say "error: the packages of $lock could not be installed"; say "hint: pip must reach a package registry; see its message above"; exit 1; }
  printf '%s\n' "$want" >".venv/made-from-$lock"
fi
