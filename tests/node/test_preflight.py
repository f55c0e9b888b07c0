"""What `cestle check` finds on a machine: each fault in one line, exit 2; warnings apart."""

import datetime
import os
import socket
import sqlite3
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cestle.cli.app import run
from cestle.errors import ConfigError
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.service.certificates import expiry
from cestle.service.layout import DataFolder
from cestle.service.preflight import machine_remarks
from cestle.spool.database import VERSION, Database
from node.rig import free_port, need_program, node_config

MOUNTS = (
    "22 1 254:1 / / rw,relatime - ext4 /dev/root rw\n"
    "40 22 0:50 / /data rw - nfs4 server:/export rw\n"
    "41 40 0:51 / /data/local\\040disk rw shared:3 - xfs /dev/sdb rw\n"
    "42 22 0:52 / /database rw - btrfs /dev/sdc rw\n"
)


def certificate(folder, name, *, days):
    """A self-signed certificate with its key; `days` may be negative."""
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    begin = end - datetime.timedelta(days=400)
    stamp = "%y%m%d%H%M%SZ"
    request = [
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-subj", "/CN=cestle", "-keyout", f"{name}.key", "-out", f"{name}.csr"),
    ]
    sign = [
        *("ca", "-batch", "-selfsign", "-config", "ca.cnf", "-keyfile", f"{name}.key"),
        *("-in", f"{name}.csr", "-out", f"{name}.pem", "-notext"),
        *("-startdate", begin.strftime(stamp), "-enddate", end.strftime(stamp)),
    ]
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=own\n[own]\ndatabase=index\nserial=serial\nnew_certs_dir=.\n"
        "default_md=sha256\npolicy=any\n[any]\ncommonName=supplied\n"
    )
    (folder / "index").write_text("")
    (folder / "serial").write_text("01\n")
    for arguments in (request, sign):
        subprocess.run(
            [need_program("openssl"), *arguments], cwd=folder, check=True, capture_output=True
        )
    return end.replace(microsecond=0)


def tls(folder, certificate="good", key="good"):
    return (
        f'[tls]\nenabled = true\ncertificate_file = "{folder}/{certificate}.pem"\n'
        f'key_file = "{folder}/{key}.key"\nca_file = "{folder}/{certificate}.pem"\n'
    )


def check(folder, capsys, *options):
    """Exit code, faults and warnings of `cestle check`."""
    code = run(["check", "--config", str(Path(folder) / "node.toml"), *options])
    lines = capsys.readouterr().err.splitlines()
    warnings = [line for line in lines if line.startswith("cestle: warning: ")]
    return code, [line for line in lines if line not in warnings], warnings


def look(config, *, network=False):
    """Faults and warnings of the same without the command around it."""
    remarks = machine_remarks(config, network=network)
    return [one.text for one in remarks if one.fault], [
        one.text for one in remarks if not one.fault
    ]


def test_all_in_order(tmp_path, capsys):
    """Nothing is said of a machine in order, and nothing is made on it."""
    node_config(tmp_path, port=free_port(), extra=f"[web]\nport = {free_port()}\n")
    assert check(tmp_path, capsys) == (0, [], [])
    assert not (tmp_path / "data").exists()


def test_faults_are_listed_together(tmp_path, capsys):
    """A taken port, a taken web port, no space: three lines, exit 2."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        ports = [server.getsockname()[1] for server in (one, two)]
        node_config(
            tmp_path, port=ports[0], disk_reserve_gb=1e9, extra=f"[web]\nport = {ports[1]}\n"
        )
        code, faults, _ = check(tmp_path, capsys)
    assert code == 2
    assert len(faults) == 3
    assert "disk_reserve_gb" in faults[0]
    assert f"[node] 127.0.0.1:{ports[0]} cannot be listened on" in faults[1]
    assert f"[web] 127.0.0.1:{ports[1]} cannot be listened on" in faults[2]


def test_a_running_node_may_have_its_ports(tmp_path):
    """While the node of this folder runs, its ports are not faults."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        config = node_config(tmp_path, port=taken.getsockname()[1], extra="[web]\nport = 0\n")
        assert look(config)[0]
        with DataFolder.of(config).only_one("receive"):
            assert look(config) == ([], [])


def test_a_folder_that_is_a_file(tmp_path):
    """A data_dir that is a file is said, whoever asks."""
    (tmp_path / "data").write_text("x")
    config = node_config(tmp_path, extra="[web]\nport = 0\n")
    faults, _ = look(config)
    assert "is a file, expected a folder" in faults[0]


def test_sqlite_on_a_network_file_system_is_refused(tmp_path, monkeypatch):
    """SQLite on NFS is a fault; PostgreSQL with the spool there is none."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"22 1 0:1 / / rw - ext4 x rw\n23 22 0:2 / {tmp_path} rw - nfs4 s:/e rw\n")
    monkeypatch.setattr("cestle.service.preflight._MOUNTS", mounts)
    config = node_config(tmp_path, extra="[web]\nport = 0\n")
    [fault], _ = look(config)
    assert "is on nfs4, expected a local disk" in fault
    url = f'[web]\nport = 0\n[engine]\ndatabase_url = "postgresql://x@127.0.0.1:{free_port()}/x"\n'
    config = node_config(tmp_path, extra=url)
    [fault], _ = look(config)
    assert "cannot be opened" in fault


def test_certificates(tmp_path):
    """An expired certificate is a fault, one that expires soon a warning, a wrong key a fault."""
    ends = {
        name: certificate(tmp_path, name, days=days)
        for name, days in (("good", 300), ("soon", 20), ("old", -3))
    }
    web = "[web]\nport = 0\n"
    config = node_config(tmp_path, extra=tls(tmp_path) + web)
    assert look(config) == ([], [])
    config = node_config(tmp_path, extra=tls(tmp_path, "soon", "soon") + web)
    faults, warnings = look(config)
    assert faults == []
    assert f"soon.pem expires on {ends['soon']:%Y-%m-%d}" in warnings[0]
    config = node_config(tmp_path, extra=tls(tmp_path, "old", "old") + web)
    faults, _ = look(config)
    assert f"old.pem expired on {ends['old']:%Y-%m-%d}" in faults[0]
    config = node_config(tmp_path, extra=tls(tmp_path, "good", "soon") + web)
    [fault], _ = look(config)
    assert "belong together" in fault
    for name, end in ends.items():
        assert expiry(tmp_path / f"{name}.pem") == end
        shown = subprocess.run(
            [need_program("openssl"), "x509", "-enddate", "-noout", "-in", f"{name}.pem"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        assert shown == f"notAfter={end:%b} {end.day:2d} {end:%H:%M:%S %Y} GMT"


@given(st.binary(max_size=300))
def test_garbage_is_no_certificate(content):
    """Whatever is between the lines of a PEM file, the answer is a date or a fault in words."""
    import base64
    import tempfile

    text = base64.encodebytes(content).decode()
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n")
        file.flush()
        with pytest.raises(ConfigError, match="no certificate that can be read"):
            expiry(Path(file.name))


def test_a_journal_of_a_newer_version(tmp_path):
    """A journal that a newer version wrote is said, and left as it is."""
    config = node_config(tmp_path, extra="[web]\nport = 0\n")
    place = DataFolder.of(config).journal
    Database(place).close()
    assert look(config) == ([], [])
    with sqlite3.connect(place) as connection:
        connection.execute("UPDATE journal_version SET number = ?", (VERSION + 1,))
    connection.close()
    [fault], _ = look(config)
    assert f"the journal has version {VERSION + 1}, this cestle knows {VERSION}" in fault


def test_a_clock_behind_the_journal(tmp_path):
    """A clock that is behind what was written already is a fault."""
    config = node_config(tmp_path, extra="[web]\nport = 0\n")
    place = DataFolder.of(config).journal
    Database(place).close()
    later = place.stat().st_mtime + 7200
    os.utime(place, (later, later))
    [fault], _ = look(config)
    assert "behind the last change of the journal" in fault


def test_warnings_leave_the_exit_code(tmp_path, capsys, monkeypatch):
    """More memory or cores asked for than there are, and no font: said, and exit 0."""
    limit = tmp_path / "memory.max"
    limit.write_text(f"{3 << 30}\n")
    monkeypatch.setattr("cestle.service.preflight._GROUP_LIMIT", limit)
    overlay = tmp_path / "overlay" / "page"
    overlay.mkdir(parents=True)
    from cestle.config.templates import shipped_templates_dir

    page = (shipped_templates_dir() / "page" / "layout.yaml").read_text(encoding="utf-8")
    head, _, _ = page.partition("cjk_fonts:")
    assert head != page
    kept = [line for line in page.splitlines() if "/usr/share/fonts" not in line]
    text = "\n".join(kept).replace("cjk_fonts:", "cjk_fonts:\n  - /nowhere/font.ttc")
    (overlay / "layout.yaml").write_text(text, encoding="utf-8")
    node_config(
        tmp_path,
        extra=f'[web]\nport = 0\n[engine]\nworkers = 64\n[analysis]\nlanguage = "zh-CN"\n'
        f'[templates]\noverlay_dir = "{tmp_path / "overlay"}"\n',
    )
    code, faults, warnings = check(tmp_path, capsys)
    assert (code, faults) == (0, [])
    assert "/nowhere/font.ttc" in warnings[0]
    assert "64 computations may need 262144 MiB" in warnings[1]
    assert "this machine or container has" in warnings[1]
    assert "workers is 64" in warnings[2]


@pytest.mark.peer
def test_destinations_are_asked_only_with_network(tmp_path):
    """A destination that is away is a fault with --network, and not asked without."""
    with PacsStandIn(tmp_path / "pacs") as pacs:
        config = node_config(
            tmp_path,
            destinations=[("pacs", "PACS", pacs.port), ("archive", "ARCHIVE", free_port())],
            extra="[web]\nport = 0\n",
        )
        assert look(config) == ([], [])
        [fault], _ = look(config, network=True)
    assert "destination 'archive'" in fault


def test_settings_alone_leave_the_machine_out(tmp_path, capsys):
    """What the node checks by itself at its start does not look at ports that it waits for."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        node_config(tmp_path, port=taken.getsockname()[1], extra="[web]\nport = 0\n")
        assert check(tmp_path, capsys, "--settings-only") == (0, [], [])
