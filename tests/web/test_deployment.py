"""Units, container and compose file: they name what exists, agree, and their commands parse."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.main
import yaml

from cestle.cli.app import app
from cestle.config.node import load_node_config

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def parse(arguments):
    """Values of the options of one command line of cestle; raises when it is none."""
    group = typer.main.get_command(app)
    context = group.make_context("cestle", list(arguments), resilient_parsing=False)
    name, command, rest = group.resolve_command(context, arguments)
    return name, command.make_context(name, list(rest), parent=context).params


def test_a_wrong_command_does_not_parse():
    """The parser of these tests refuses what cestle refuses."""
    with pytest.raises(Exception, match="No such option"):
        parse(["serve", "--rol", "work"])
    with pytest.raises(Exception, match="'wrok' is not one of"):
        parse(["serve", "--role", "wrok", "--config", "x"])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_units(unit, tmp_path):
    """Each unit starts a command that parses, and systemd finds nothing wrong with it."""
    text = unit.read_text()
    [line] = re.findall(r"^ExecStart=(.+)$", text, re.MULTILINE)
    program, *arguments = shlex.split(line.replace("%i", "1").replace("%H", "host"))
    assert program == "/opt/cestle/bin/cestle"
    name, options = parse(arguments)
    assert name == "serve"
    assert options["config"] == Path("/etc/cestle/node.toml")
    if "@" in unit.name:
        assert options["worker_name"] == "host-1"
        assert options["web_port"] == 8081
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("systemd-analyze is not on this machine")
    copy = tmp_path / unit.name
    copy.write_text(text.replace(program, "/bin/true"))
    place = tmp_path / unit.name.replace("@", "@1")
    if place != copy:
        shutil.copy(copy, place)
    verified = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", place],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stderr
    assert verified.stderr == ""
    judged = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", "--no-pager", place],
        capture_output=True,
        text=True,
        check=False,
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "Overall exposure level" in judged.stdout


def test_the_container_copies_what_exists():
    """Every file that the image is made of is in the repository, and its command parses."""
    text = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE):
        for source in line.split()[:-1]:
            assert (ROOT / source).exists(), source
    [command] = re.findall(r"^CMD (\[.+\])$", text, re.MULTILINE)
    assert parse(json.loads(command))[0] == "serve"
    assert re.search(r"^USER 10001:10001$", text, re.MULTILINE)
    assert "--require-hashes" in text
    lock = (ROOT / "requirements.lock").read_text()
    assert re.search(r"^hatchling==", lock, re.MULTILINE), "the build needs it from the lock"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())


def test_compose_is_consistent(compose):
    """Ports, titles, hosts, files and commands of the compose file are those of what it starts."""
    services = compose["services"]
    config = load_node_config(DEPLOY / "compose" / "node.toml")
    pacs = json.loads((DEPLOY / "compose" / "orthanc.json").read_text())
    [destination] = config.destinations
    assert destination.host in services
    assert (destination.port, destination.ae_title) == (pacs["DicomPort"], pacs["DicomAet"])
    title, host, port = pacs["DicomModalities"]["cestle"]
    assert (title, port) == (config.node.ae_title, config.node.port)
    assert host in services
    assert config.engine.database_url == "postgresql://cestle@database/cestle"
    assert services["database"]["environment"]["POSTGRES_USER"] == "cestle"
    published = {entry.split(":")[-1] for entry in services["receive"]["ports"]}
    assert published == {str(config.node.port), str(config.web.port)}
    assert any(entry.startswith("127.0.0.1:") for entry in services["receive"]["ports"])
    roles, names = [], []
    for service in ("receive", "worker-1", "worker-2"):
        name, options = parse(services[service]["command"])
        assert name == "serve"
        assert str(options["config"]) == "/etc/cestle/node.toml"
        roles.append(options["role"].value)
        names.append(options["worker_name"])
    assert roles == ["receive", "work", "work"]
    assert names == [None, "worker-1", "worker-2"]


def test_compose_names_what_exists(compose):
    """Every mounted file, volume, network and secret is there; secrets are made by the operator."""
    for service in compose["services"].values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).is_file(), source
            else:
                assert source in compose["volumes"]
        assert set(service.get("networks", ())) <= set(compose["networks"])
        assert set(service.get("secrets", ())) <= set(compose["secrets"])
        assert set(service.get("depends_on", ())) <= set(compose["services"])
        if "build" in service:
            assert (DEPLOY / service["build"]["context"]).resolve() == ROOT
            assert (ROOT / service["build"]["dockerfile"]).is_file()
    guide = (DEPLOY / "operating.md").read_text()
    ignored = (DEPLOY / "compose" / ".gitignore").read_text()
    for secret in compose["secrets"].values():
        assert f"deploy/{secret['file'].removeprefix('./')}" in guide
        assert Path(secret["file"]).parts[-2] in ignored


def test_compose_itself_accepts_the_file():
    """`docker compose config` reads the file, where that is installed."""
    docker = shutil.which("docker")
    if docker is None:
        pytest.skip("docker is not on this machine")
    asked = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    if asked.returncode != 0:
        pytest.skip("docker compose is not on this machine")
    done = subprocess.run(
        [docker, "compose", "-f", DEPLOY / "compose.yaml", "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_commands_of_the_guide_parse(tmp_path, monkeypatch):
    """Every command line of cestle in the operator guide is one that cestle takes."""
    (tmp_path / "people").mkdir()
    monkeypatch.chdir(tmp_path)
    text = (DEPLOY / "operating.md").read_text()
    fenced = "".join(text.split("```")[1::2])
    lines = re.findall(r"^cestle ([a-z].*?)(?:\s+#.*)?$", fenced, re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        parse(shlex.split(line))
