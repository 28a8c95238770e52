#!/usr/bin/env bash
# The system packages that tests need: installs what is missing where it may (root on Debian or Ubuntu), and
# names what is missing elsewhere. Under CI=true something missing is an error; elsewhere its tests skip.
set -uo pipefail

export DEBIAN_FRONTEND=noninteractive
wait_for_lock=(-o DPkg::Lock::Timeout=120)

# One line for each need: what it is called | the Debian packages that bring it
needs=(
    "a Java 17 or later|JAVA"
    "Maven|maven"
    "Chromium|chromium"
    "PostgreSQL|postgresql"
    "Mosquitto|mosquitto"
    "ffmpeg|ffmpeg"
    "GStreamer RTSP|gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
    "CJK fonts|fonts-noto-cjk fontconfig"
    "Tesseract|tesseract-ocr tesseract-ocr-chi-sim"
    "OpenSSL|openssl"
    "npm|npm"
)
# What `make setup` asks for by name, and only when it turned out to be missing
only=${1:-}
if [ -n "$only" ]; then
    needs=("OpenGL|libgl1 libglib2.0-0" "venv|python3-venv")
fi

present() {
    case $1 in
        "a Java"*)
            java -version 2>&1 | grep -Eq 'version "(1[7-9]|[2-9][0-9])' ;;
        Maven)      command -v mvn >/dev/null ;;
        Chromium)   command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null ;;
        PostgreSQL) compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ;;
        Mosquitto)  PATH=$PATH:/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin command -v mosquitto >/dev/null ;;
        ffmpeg)     command -v ffmpeg >/dev/null && command -v ffprobe >/dev/null ;;
        GStreamer*)
            /usr/bin/python3 - 2>/dev/null <<'PYTHON'
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
assert all(Gst.ElementFactory.find(name) for name in ("qtdemux", "h264parse", "rtph264pay"))
PYTHON
            ;;
        OpenSSL)    command -v openssl >/dev/null ;;
        npm)        command -v npm >/dev/null ;;
        "CJK fonts") fc-list :lang=zh 2>/dev/null | grep -q . ;;
        Tesseract)  tesseract --list-langs 2>/dev/null | grep -qx chi_sim ;;
        OpenGL)     PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q 'libGL\.so\.1' ;;
        venv)       python3 -c 'import venv, ensurepip' 2>/dev/null ;;
    esac
}

missing() {
    for need in "${needs[@]}"; do
        [ -z "$only" ] || [ "${need%%|*}" = "$only" ] || continue
        present "${need%%|*}" || echo "$need"
    done
}

java_package() {
    for name in openjdk-21-jre-headless openjdk-17-jre-headless openjdk-25-jre-headless; do
        apt-cache policy "$name" 2>/dev/null | grep -q 'Candidate: [0-9]' && { echo "$name"; return; }
    done
    echo default-jre-headless
}

install() {
    echo "Installing system packages: $(cut -d'|' -f1 <<<"$1" | paste -sd, | sed 's/,/, /g')"
    apt-get "${wait_for_lock[@]}" update -qq </dev/null || echo "The list of system packages could not be renewed." >&2
    local packages
    packages=$(cut -d'|' -f2 <<<"$1" | tr '\n' ' ')
    packages=${packages/JAVA/$(java_package)}
    # shellcheck disable=SC2086
    apt-get "${wait_for_lock[@]}" install -y -qq --no-install-recommends $packages </dev/null >"$log" 2>&1 && return
    # One that cannot be had must not keep the others away.
    for package in $packages; do
        apt-get "${wait_for_lock[@]}" install -y -qq --no-install-recommends "$package" </dev/null >>"$log" 2>&1 ||
            echo "The system package $package could not be installed: $(tail -n 1 "$log")" >&2
    done
}

lacking=$(missing)
[ -z "$lacking" ] && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    install "$lacking"
    lacking=$(missing)
    [ -z "$lacking" ] && exit 0
fi

echo "Missing on this machine, so that what needs it cannot run (root on Debian or Ubuntu: it is installed by itself):" >&2
sed 's/JAVA/openjdk-17-jre-headless or later/; s/\([^|]*\)|\(.*\)/  \1 (Debian: \2)/' <<<"$lacking" >&2
[ "${CI:-}" != true ]
