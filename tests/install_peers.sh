#!/usr/bin/env bash
# The programs of other projects that the tests call: dcmtk, dicom3tools, Orthanc with DICOMweb.
# As root on Debian or Ubuntu they are installed; elsewhere the missing ones are named.
set -eu

missing=""
need() { # program, Debian package
    PATH="$PATH:/usr/sbin" command -v "$1" > /dev/null || missing="$missing $2"
}
need storescu dcmtk
need dciodvfy dicom3tools
need Orthanc orthanc
ls /usr/share/orthanc/plugins/libOrthancDicomWeb.so > /dev/null 2>&1 || missing="$missing orthanc-dicomweb"

[ -n "$missing" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    echo "installing the programs that the tests call:$missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q > /dev/null
    # shellcheck disable=SC2086  # several package names
    apt-get install -y -q --no-install-recommends $missing > /dev/null
else
    echo "missing for the tests with real peers (they will be skipped):$missing" >&2
    echo "install them as root: apt-get install$missing" >&2
    [ -z "${CI:-}" ] || exit 1
fi
