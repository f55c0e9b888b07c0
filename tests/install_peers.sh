#!/usr/bin/env bash
# The programs of other projects that the tests call. As root on Debian or Ubuntu the packages are
# installed; elsewhere the missing ones are named. What is on PyPI or npm goes into .venv-peers.
set -eu
cd "$(dirname "$0")/.."
PEERS=.venv-peers
DCMQI=1.5.7
DCMJS=0.52.0
FONT=/usr/share/fonts/truetype/wqy/wqy-microhei.ttc

missing=""
need() { # program, Debian package
    PATH="$PATH:/usr/sbin" command -v "$1" > /dev/null || missing="$missing $2"
}
need storescu dcmtk
need dciodvfy dicom3tools
need DicomSRValidator pixelmed-apps
need pdfimages poppler-utils
need Orthanc orthanc
ls /usr/lib/postgresql/*/bin/postgres > /dev/null 2>&1 || missing="$missing postgresql"
ls /usr/share/orthanc/plugins/libOrthancDicomWeb.so > /dev/null 2>&1 || missing="$missing orthanc-dicomweb"
[ -f "$FONT" ] || missing="$missing fonts-wqy-microhei"

absent() { # what, how to get it
    echo "missing for the tests with real peers (they will be skipped): $1" >&2
    echo "$2" >&2
    [ -z "${CI:-}" ] || exit 1
}

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
        echo "installing the programs that the tests call:$missing"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q > /dev/null
        # shellcheck disable=SC2086  # several package names
        apt-get install -y -q --no-install-recommends $missing > /dev/null
    else
        absent "$missing" "install them as root: apt-get install$missing"
    fi
fi

if [ "$(cat "$PEERS/dcmqi.version" 2> /dev/null || true)" != "$DCMQI" ]; then
    echo "installing dcmqi $DCMQI into $PEERS"
    if "${PYTHON:-python3}" -m venv "$PEERS" \
        && "$PEERS/bin/python" -m pip install --quiet --disable-pip-version-check \
            --only-binary :all: "dcmqi==$DCMQI"; then
        echo "$DCMQI" > "$PEERS/dcmqi.version"
    else
        absent "dcmqi $DCMQI" "install it from PyPI into $PEERS"
    fi
fi

# Optional: the checker of alert rules. Taken out of its package, since installing that would start
# a Prometheus server on this machine.
if [ ! -x "$PEERS/promtool" ] && command -v apt-get dpkg-deb > /dev/null; then
    echo "taking promtool out of the package prometheus into $PEERS"
    unpacked="$(mktemp -d)"
    (cd "$unpacked" && apt-get download -q prometheus > /dev/null 2>&1 \
        && dpkg-deb -x prometheus_*.deb . ) \
        && mv "$unpacked/usr/bin/promtool" "$PEERS/promtool" \
        || echo "promtool could not be had; its test will be skipped" >&2
    rm -rf "$unpacked"
fi

# Optional: a reader in JavaScript, where there is Node.
if command -v npm > /dev/null && [ ! -d "$PEERS/node_modules/dcmjs" ]; then
    echo "installing dcmjs $DCMJS into $PEERS"
    npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$PEERS" "dcmjs@$DCMJS" \
        || echo "dcmjs could not be installed; its test will be skipped" >&2
fi
