"""The configuration file of the node."""

import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from cestle.config.node import NodeConfig, load_node_config
from cestle.errors import ConfigError

EXAMPLE = Path(__file__).parents[3] / "deploy" / "node.example.toml"
LEAST = """
[[peers]]
ae_title = "SCANNER"
hosts = ["10.0.0.0/24"]
[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "pacs.example"
port = 104
"""


def write(folder, text):
    file = folder / "node.toml"
    file.write_text(text, encoding="utf-8")
    return file


def model_keys(model: type[BaseModel], prefix=""):
    keys = set()
    for name, field in model.model_fields.items():
        inner = field.annotation
        arguments = getattr(inner, "__args__", (inner,))
        section = next(
            (one for one in arguments if isinstance(one, type) and issubclass(one, BaseModel)), None
        )
        keys |= {f"{prefix}{name}"} if section is None else model_keys(section, f"{prefix}{name}.")
    return keys


def file_keys(content, prefix=""):
    keys = set()
    for name, value in content.items():
        tables = (
            value if isinstance(value, list) and value and isinstance(value[0], dict) else [value]
        )
        for table in tables:
            inner = isinstance(table, dict)
            keys |= file_keys(table, f"{prefix}{name}.") if inner else {f"{prefix}{name}"}
    return keys


def test_the_example_names_every_key_and_no_other():
    """The keys of deploy/node.example.toml are exactly the fields of the model."""
    assert file_keys(tomllib.loads(EXAMPLE.read_text())) == model_keys(NodeConfig)


def test_the_example_shows_the_defaults(tmp_path):
    """A file with peers and destinations alone means the same as the example elsewhere."""
    example = load_node_config(EXAMPLE)
    least = load_node_config(write(tmp_path, LEAST))
    for section in ("node", "study", "engine", "analysis", "templates", "tls", "logging"):
        assert getattr(example, section) == getattr(least, section)


def test_relative_paths_start_at_the_file(tmp_path):
    """A relative data_dir lies beside the configuration file, not in the working directory."""
    config = load_node_config(write(tmp_path, LEAST + '[node]\ndata_dir = "data"\n'))
    assert config.node.data_dir == tmp_path / "data"


def test_all_faults_are_listed_at_once(tmp_path):
    """One message names the file and every fault: misspelt key, text port, missing value."""
    text = """
    [node]
    prot = 1
    port = "104"
    [[peers]]
    ae_title = "A"
    hosts = ["scanner.example"]
    [[destinations]]
    name = "pacs"
    ae_title = "ABCDEFGHIJKLMNOPQ"
    host = "h"
    """
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_node_config(file)
    message = str(caught.value)
    for part in (
        "node.prot",
        "node.port",
        "peers.0.hosts.0",
        "destinations.0.ae_title",
        "destinations.0.port",
    ):
        assert f"{file}: {part}: " in message


@pytest.mark.parametrize(
    ("extra", "word"),
    [
        ('[node]\nredo_ae_title = "CESTLE"\n', "reprocessed"),
        ("[study]\nquiet_seconds = 30.0\npartial_quiet_seconds = 20.0\n", "partial_quiet_seconds"),
        ("[analysis]\nmin_relative_b1 = 2.0\n", "max_relative_b1"),
        ('[analysis]\nb1_method = "guess"\n', "b1_method"),
        ("[tls]\nenabled = true\n", "certificate_file"),
        ('[engine]\ndatabase_url = "mysql://x"\n', "begins with postgresql"),
        ("[study]\nmax_wait_minutes = inf\n", "max_wait_minutes"),
        ("[analysis]\nwhite_matter_range_percent = [6.0, 4.0]\n", "the lower one first"),
        ("[analysis]\nwhite_matter_range_percent = [6.0]\n", "the lower one first"),
        (LEAST.replace("10.0.0.0/24", "10.0.0.1/24"), "Cannot overwrite|host bits|redefine"),
    ],
)
def test_contradictions_are_refused(tmp_path, extra, word):
    """A file whose values contradict each other is refused with the reason."""
    text = extra if "[[peers]]" in extra else LEAST + extra
    with pytest.raises(ConfigError, match=word):
        load_node_config(write(tmp_path, text))


def test_no_destination_twice(tmp_path):
    """Two destinations of one name are refused."""
    again = LEAST[LEAST.index("[[destinations]]") :]
    with pytest.raises(ConfigError, match="'pacs' is used twice"):
        load_node_config(write(tmp_path, LEAST + again))


@pytest.mark.parametrize("text", ["[node", "\ufeff", "[node]\na = \x00"])
def test_what_is_no_toml_is_one_line(tmp_path, text):
    """A file that is no TOML, or has no peers, gives one line that names it."""
    file = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_node_config(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_json_form_is_lossless(tmp_path):
    """What a child process reads from JSON equals the configuration of its parent."""
    config = load_node_config(write(tmp_path, LEAST + '[templates]\noverlay_dir = "site"\n'))
    assert NodeConfig.model_validate_json(config.model_dump_json()) == config


def test_a_destination_chooses_among_known_objects(tmp_path):
    """Objects and class of report of a destination are names that the program knows."""
    known = LEAST + 'objects = ["glucest_map", "report"]\nsr_class = "enhanced"\n'
    destination = load_node_config(write(tmp_path, known)).destinations[0]
    assert destination.objects == ("glucest_map", "report")
    assert destination.sr_class == "enhanced"
    unknown = LEAST + 'objects = ["map"]\nsr_class = "basic"\n'
    with pytest.raises(ConfigError) as fault:
        load_node_config(write(tmp_path, unknown))
    assert "destinations.0.objects.0" in str(fault.value)
    assert "destinations.0.sr_class" in str(fault.value)
