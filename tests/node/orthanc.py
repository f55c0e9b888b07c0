"""Orthanc as a real PACS on loopback."""

import json
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from node.rig import free_port, need_program, run_dcmtk, wait_until

PLUGINS = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass(frozen=True, kw_only=True)
class Orthanc:
    """A running Orthanc, its DICOM and its HTTP port."""

    dicom_port: int
    http_port: int

    def get(self, path):
        """Body of an HTTP GET, following no surprises: any status but 200 raises."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}{path}") as answer:
            return answer.read()

    def json(self, path):
        """JSON of an HTTP GET."""
        return json.loads(self.get(path))

    def rendered(self, sop_instance_uid):
        """The picture that Orthanc draws of an instance, as PNG bytes."""
        for identifier in self.json("/instances"):
            tags = self.json(f"/instances/{identifier}/simplified-tags")
            if tags["SOPInstanceUID"] == sop_instance_uid:
                return self.get(f"/instances/{identifier}/preview")
        raise LookupError(f"{sop_instance_uid} is not in Orthanc")

    def found(self, level, **keys):
        """What C-FIND answers at a level, as dcmtk prints it."""
        arguments = ["-S", "-aet", "CESTLE", "-aec", "PACS", "127.0.0.1", self.dicom_port]
        arguments += ["-k", f"QueryRetrieveLevel={level}"]
        for name, value in keys.items():
            arguments += ["-k", f"{name}={value}" if value else name]
        answer = run_dcmtk("findscu", *arguments)
        assert answer.returncode == 0, answer.stderr
        return answer.stdout + answer.stderr

    def web(self, path, *, accept, body=None, content_type=None):
        """Status, media type and body of a DICOMweb request; no status raises."""
        address = f"http://127.0.0.1:{self.http_port}/dicom-web{path}"
        request = urllib.request.Request(address, data=body)
        request.add_header("Accept", accept)
        if content_type:
            request.add_header("Content-Type", content_type)
        try:
            with urllib.request.urlopen(request) as answer:  # noqa: S310  always http
                return answer.status, answer.headers["Content-Type"], answer.read()
        except urllib.error.HTTPError as fault:
            return fault.code, fault.headers["Content-Type"], fault.read()


@contextmanager
def running(folder, *, move_port=1, sender="CESTLE", certificate=None, authority=None):
    """Start Orthanc with `folder` as its storage, and stop it at the end.

    It takes instances from the title `sender` and moves them to it at `move_port` of this machine.
    With the folders of a `certificate` and its `authority` it speaks TLS only, both ways.
    """
    program = need_program("Orthanc")
    dicom_port, http_port = free_port(), free_port()
    settings = {
        "StorageDirectory": str(folder / "orthanc"),
        "IndexDirectory": str(folder / "orthanc"),
        "DicomAet": "PACS",
        "DicomPort": dicom_port,
        "HttpPort": http_port,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowStore": False,
        "DicomAlwaysAllowEcho": False,
        "UnknownSopClassAccepted": False,
        "OverwriteInstances": False,
        "DefaultEncoding": "Utf8",
        "DicomModalities": {
            "node": {
                "AET": sender,
                "Host": "127.0.0.1",
                "Port": move_port,
                "AllowEcho": True,
                "AllowStore": True,
                "AllowFind": True,
                "AllowMove": True,
                "AllowGet": True,
                "UseDicomTls": certificate is not None,
            },
        },
        "Plugins": [str(PLUGINS)] if PLUGINS.exists() else [],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    if certificate is not None:
        settings |= {
            "DicomTlsEnabled": True,
            "DicomTlsCertificate": str(certificate / "cert.pem"),
            "DicomTlsPrivateKey": str(certificate / "key.pem"),
            "DicomTlsTrustedCertificates": str(authority / "cert.pem"),
            "DicomTlsRemoteCertificateRequired": True,
        }
    file = folder / "orthanc.json"
    file.write_text(json.dumps(settings))
    process = subprocess.Popen(
        [program, str(file)],
        env={"TCP_NODELAY": "1", "PATH": "/usr/bin:/usr/sbin"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        orthanc = Orthanc(dicom_port=dicom_port, http_port=http_port)
        wait_until(lambda: _answers(orthanc), what="Orthanc")
        yield orthanc
    finally:
        process.terminate()
        process.wait(30)


def _answers(orthanc):
    try:
        return orthanc.json("/system")
    except OSError:
        return None
