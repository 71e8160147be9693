#!/usr/bin/env bash
# Follow the README in a Debian 12 that holds nothing but Python and venv: the smoke test of the installation.
#
#   packaging/bare_debian.sh [--keep] [FOLDER]     as root; needs debootstrap, Xvfb, git
#
# 1. the demo command, with no display and none of Qt's libraries: has to work, and to leave a model
# 2. the test command, likewise: what needs a window has to be skipped with a reason, the rest to pass
# 3. the window: has to name the missing packages and end with status 1, not abort
# 4. exactly those packages are installed; the window has to open under Xvfb and paint
# FOLDER (a new one under /tmp when not given) gets the Debian; it is removed at the end unless --keep is given.
set -euo pipefail

keep=no
if [ "${1:-}" = --keep ]; then keep=yes; shift; fi
[ "$(id -u)" = 0 ] || { echo "debootstrap and chroot need root."; exit 2; }
for tool in debootstrap Xvfb git; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: apt install debootstrap xvfb git"; exit 2; }
done
checkout="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
root="${1:-$(mktemp -d /tmp/bare_debian.XXXXXX)}"
server=

clean_up() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  local mounted
  for mounted in "$root/dev" "$root/proc"; do
    if mountpoint -q "$mounted"; then umount --recursive --lazy "$mounted"; fi
  done
  if [ "$keep" = yes ]; then echo "Kept: $root"; else rm -rf --one-file-system "$root"; fi
}
trap clean_up EXIT

say() { printf '\n=== %s\n' "$*"; }

mirror() { # the first Debian archive this machine installs from
  local files=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources)
  cat "${files[@]}" 2>/dev/null | awk '
    /^deb / { for (i = 2; i <= NF; i++) if ($i ~ /^(http|https|file):/ && $i !~ /security/ && $(i + 1) ~ /^bookworm/) { print $i; exit } }
    /^URIs:/ { uri = $2 }
    /^Suites:/ && /bookworm/ && !/security/ && uri { print uri; exit }'
}

inside() { # inside VARIABLE=VALUE... COMMAND...: in the new Debian, with a new user's environment and pip's access
  chroot "$root" /usr/bin/env -i HOME=/root TERM=dumb LC_ALL=C.UTF-8 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${pip[@]}" "$@"
}

readme_command() { # readme_command N: the Nth sh block of the README
  awk -v wanted="$1" '/^```sh/ {block++; inside = 1; next} /^```/ {inside = 0} inside && block == wanted' "$checkout/README.md"
}

expect() { # expect TEXT FILE
  grep -q -- "$1" "$2" || { echo "FAILED: expected '$1' in:"; tail -n 40 "$2"; exit 1; }
}

say "Debian 12 with python3 and python3-venv in $root"
debootstrap --variant=minbase --include=python3,python3-venv bookworm "$root" "$(mirror)" >"$root.log" 2>&1 ||
  { tail -n 20 "$root.log"; exit 1; }
rm -f "$root.log"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --make-rslave "$root/dev"
# How this machine reaches the package index: its address, and the certificates it trusts.
pip=()
index="$(python3 -m pip config get global.index-url 2>/dev/null || true)"
[ -z "${PIP_INDEX_URL:-$index}" ] || pip+=("PIP_INDEX_URL=${PIP_INDEX_URL:-$index}")
certificates="${PIP_CERT:-/etc/ssl/certs/ca-certificates.crt}"
if [ -f "$certificates" ]; then
  mkdir -p "$root/etc/ssl/certs"
  cp -L "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
  pip+=(PIP_CERT=/etc/ssl/certs/ca-certificates.crt)
fi
mkdir "$root/root/cnn_studio"
git -C "$checkout" ls-files -z --cached --others --exclude-standard | tar -C "$checkout" --null -T - --ignore-failed-read -c |
  tar -C "$root/root/cnn_studio" -x
inside python3 --version

say "1. the demo, without a display and without Qt's libraries"
demo="$(readme_command 1)"
echo "$demo"
inside bash -euo pipefail -c "cd /root/cnn_studio && $demo --out /root/demo" 2>&1 | tee "$root/root/demo.log"
expect "Running the demonstration without the window" "$root/root/demo.log"
expect "loaded again and compared" "$root/root/demo.log"
ls "$root"/root/demo/*.keras
inside /root/cnn_studio/.venv/bin/cnn-studio doctor

say "2. the window, with a display and without Qt's libraries: names the packages"
mkdir -p "$root/tmp/.X11-unix"
exec {number}< <(exec Xvfb -displayfd 1 -screen 0 1280x800x24 -nolisten tcp 2>/dev/null)
server=$!
read -r display <&"$number"
status=0
inside DISPLAY=":$display" /root/cnn_studio/.venv/bin/cnn-studio >"$root/root/window.log" 2>&1 || status=$?
cat "$root/root/window.log"
[ $status = 1 ] || { echo "FAILED: exit status $status, not 1"; exit 1; }
expect "apt install" "$root/root/window.log"

say "3. the tests, without Qt's libraries"
tests="$(readme_command 2)"
echo "$tests"
inside bash -euo pipefail -c "cd /root/cnn_studio && $tests" 2>&1 | tee "$root/root/tests.log" | tail -n 40
expect "system libraries that this machine lacks" "$root/root/tests.log"

say "4. the window, after installing exactly those packages"
command="$(grep -o 'apt install [^`]*' "$root/root/window.log")"
inside DEBIAN_FRONTEND=noninteractive bash -c "${command/apt install/apt-get install -y -qq --no-install-recommends}" >/dev/null
inside DISPLAY=":$display" /root/cnn_studio/.venv/bin/python /root/cnn_studio/tests/benchmarks/bench_first_paint.py \
  --repeats 1 --platform xcb 2>&1 |
  tee "$root/root/window.log"
# The table's own backticks: in double quotes they would run a command.
# shellcheck disable=SC2016
expect '| `cnn-studio` |' "$root/root/window.log"
say "All of it worked."
