#!/bin/sh
# Installs, upgrades and rolls back Minewatch from the bundle that this script lies in. It opens no connection.
#
#   ./install.sh [--prefix /opt/minewatch] [--python python3.11]     install, or upgrade what is there
#   ./install.sh --rollback [--prefix /opt/minewatch]                go back to the release before
#
# Every release has a folder of its own below PREFIX/releases; PREFIX/current points to the one in use, and
# PREFIX/bin/minewatch goes through it. Data, configuration and running processes are not touched: stop the services,
# make a backup, install, run `minewatch database upgrade`, and start them again.
set -eu

prefix=/opt/minewatch
python=
rollback=
here=$(cd "$(dirname "$0")" && pwd)

refuse() { echo "install.sh: $*" >&2; exit 2; }

while [ $# -gt 0 ]; do
    case $1 in
        --prefix) [ $# -gt 1 ] || refuse "--prefix needs a folder."; prefix=$2; shift ;;
        --python) [ $# -gt 1 ] || refuse "--python needs a program."; python=$2; shift ;;
        --rollback) rollback=yes ;;
        -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) refuse "there is no option $1: see --help." ;;
    esac
    shift
done
case $prefix in /*) ;; *) prefix=$(pwd)/$prefix ;; esac

# A link is replaced in one step: whoever starts the command meanwhile gets the old release or the new one.
point() { ln -sfn "$2" "$1.new" && mv -Tf "$1.new" "$1"; }

switch_to() {
    if [ -L "$prefix/current" ] && [ "$(readlink "$prefix/current")" != "$1" ]; then
        point "$prefix/previous" "$(readlink "$prefix/current")"
    fi
    point "$prefix/current" "$1"
}

mkdir -p "$prefix/releases" "$prefix/bin" 2>/dev/null || refuse "$prefix cannot be written: run as a user who may, or name another folder with --prefix."
exec 9>"$prefix/.lock"
flock -n 9 || refuse "another installation into $prefix is under way: wait for it."

if [ -n "$rollback" ]; then
    [ -L "$prefix/previous" ] && [ -f "$prefix/previous/.complete" ] || refuse "there is no earlier release in $prefix to go back to."
    before=$(readlink "$prefix/previous")
    switch_to "$before"
    echo "$prefix is back at ${before#releases/}. Restart the services."
    exit 0
fi

cd "$here"
[ -f SHA256SUMS ] && [ -f RELEASE ] || refuse "$here is no whole bundle: unpack the archive again."
# The sums name every file; one that they do not name was put there by somebody else.
altered=$(sha256sum --check --quiet --strict SHA256SUMS 2>&1) || refuse "the bundle is damaged: $(echo "$altered" | head -n 1). Copy it here again."
[ "$(find . -type f ! -name SHA256SUMS | wc -l)" -eq "$(wc -l < SHA256SUMS)" ] || refuse "the bundle holds files that were not in it when it was made: unpack the archive again, into an empty folder."

version=$(sed -n 's/^version=//p' RELEASE)
needed=$(sed -n 's/^python=//p' RELEASE)
machine=$(sed -n 's/^machine=//p' RELEASE)
[ "$machine" = "$(uname -m)" ] || refuse "the bundle is for $machine, and this machine is $(uname -m): make a bundle on a machine like this one."
fits() { "$1" -c "import sys, venv; sys.exit('%d.%d' % sys.version_info[:2] != '$needed')" 2>/dev/null; }
if [ -n "$python" ]; then
    fits "$python" || refuse "$python is not Python $needed, for which the bundle was made."
else
    for python in "python$needed" python3 none; do
        [ "$python" = none ] && refuse "the bundle needs Python $needed: install it, or name it with --python."
        fits "$python" && break
    done
fi

# The same version with other wheels or weights is another release.
name=$version-$(sha256sum SHA256SUMS | cut -c 1-8)
target=$prefix/releases/$name
if [ -f "$target/.complete" ]; then
    switch_to "releases/$name"
    echo "$prefix is at $name, which was there already."
    exit 0
fi
rm -rf "$target" # what an interrupted installation left
size=$(du -sk . | cut -f 1)
free=$(df -Pk "$prefix" | awk 'NR == 2 {print $4}')
[ "$free" -gt $((size * 4)) ] || refuse "$prefix has $((free / 1024)) MiB free, and unpacked wheels need about $((size * 4 / 1024)): free space there."

trap 'rm -rf "$target"' EXIT
trap 'exit 130' INT TERM HUP
mkdir "$target"
# pip runs out of its own wheel, so that the system's Python needs neither pip nor ensurepip.
"$python" -m venv --without-pip "$target/venv"
said=$("$target/venv/bin/python" "$(echo pip/pip-*.whl)/pip" --isolated --disable-pip-version-check --quiet install --no-index --find-links wheels \
    --only-binary :all: "minewatch==$version" 2>&1) || refuse "the wheels do not install: $(echo "$said" | sed -n 's/^ERROR: //p' | head -n 1)$(echo "$said" | grep -q '^ERROR' || echo "$said" | tail -n 1). Nothing was changed."
cp -R samples "$target/samples"
ln -s "$target/samples" "$("$target/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/samples"
cp install.sh SHA256SUMS RELEASE "$target"
said=$("$target/venv/bin/minewatch" --help 2>&1) || refuse "the release does not start: $(echo "$said" | tail -n 1). Nothing was changed."
touch "$target/.complete"
trap - EXIT
switch_to "releases/$name"
ln -sfn ../current/venv/bin/minewatch "$prefix/bin/minewatch"
echo "$prefix is at $name. Run $prefix/bin/minewatch, and $target/install.sh --rollback --prefix $prefix to go back."
