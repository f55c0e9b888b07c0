"""Templates as files: every fault found at once, schemas that are current, versions that rise."""

import json
from pathlib import Path

import pytest

from cestle.cli.app import run
from cestle.config.template_files import (
    SCHEMAS,
    model_of,
    schema_file_name,
    schema_text,
    template_faults,
)
from cestle.config.templates import TemplateFolder, shipped_templates_dir

SHIPPED = TemplateFolder.default()
VERSIONS = Path(__file__).parents[2] / "template_versions.txt"
BREAKS = {
    "objects/series.yaml": ("offset: 4", "offset: four"),
    "page/layout.yaml": ("colour_map: viridis", "colour_map: jet"),
    "codes/concepts.yaml": ('"5366008"', "5366008"),
    "i18n/zh-CN.yaml": ("  title:", "  tittle:"),
    "classify/uih_jupiter.yaml": ("role: b0_map", "role: b0map"),
    "calibration/jupiter_5t_glucest_model.yaml": ("subjects: 0", "subjects: 2"),
    "template-set.yaml": ("version:", "versions:"),
}


@pytest.fixture
def site(tmp_path):
    """A site's overlay of the given files, each changed by replacing one text."""

    def make(changes):
        for relative, (old, new) in changes.items():
            text = (shipped_templates_dir() / relative).read_text(encoding="utf-8")
            assert old in text
            target = tmp_path / "site" / relative
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text.replace(old, new, 1), encoding="utf-8")
        return tmp_path / "site"

    return make


def configured(folder, overlay, extra=""):
    """A node.toml that names an overlay."""
    lines = [
        "[node]\nport = 0\n[web]\nport = 0",  # the check looks whether they are free
        *('[[peers]]\nae_title = "SCANNER"\nhosts = ["127.0.0.1"]', "[[destinations]]"),
        *('name = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\nport = 104', extra),
        f'[templates]\noverlay_dir = "{overlay}"',
    ]
    file = folder / "node.toml"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_the_shipped_templates_are_sound(capsys):
    """``cestle check`` finds nothing in the templates as shipped and ends with 0."""
    assert template_faults(SHIPPED) == ()
    assert run(["check"]) == 0
    assert "in order" in capsys.readouterr().out


@pytest.mark.parametrize("relative", list(BREAKS))
def test_each_broken_file_is_named(site, relative):
    """One wrong word in a file gives one fault, which starts with the path of that file."""
    overlay = site({relative: BREAKS[relative]})
    (fault,) = template_faults(TemplateFolder.default(overlay))
    assert str(overlay / relative) in fault
    assert "\n" not in fault


def test_all_broken_files_are_named_at_once(site, tmp_path, capsys):
    """With seven broken files ``cestle check`` ends with 2 and has a line for each of them."""
    overlay = site(BREAKS)
    assert run(["check", "--config", str(configured(tmp_path, overlay))]) == 2
    lines = capsys.readouterr().err.splitlines()
    for relative in BREAKS:
        assert sum(str(overlay / relative) in line for line in lines) >= 1, relative
    assert all(line.startswith("cestle: ") for line in lines)


def test_a_name_that_nothing_reads_is_a_fault(tmp_path):
    """A misspelt file of a site, which would change nothing, is said."""
    (tmp_path / "page").mkdir()
    (tmp_path / "page" / "layuot.yaml").write_text("language: en\n", encoding="utf-8")
    (fault,) = template_faults(TemplateFolder.default(tmp_path))
    assert "layuot.yaml: cestle reads no template of this name" in fault


def test_a_wrong_word_in_braces_is_found_without_a_font(site):
    """Chinese texts are checked also where no Chinese font is there to draw them."""
    overlay = site({"i18n/zh-CN.yaml": ("编号 {value}", "编号 {wert}")})
    (fault,) = template_faults(TemplateFolder.default(overlay))
    assert "patient_id" in fault


def test_both_kinds_of_unknown_codes_are_found_at_once(site):
    """A code that the program needs and one that the report names are both told."""
    overlay = site(
        {
            "codes/concepts.yaml": ("  comment:", "  remark:"),
            "sr/tle_report.yaml": ("name: valid_fraction", "name: valid_part"),
        }
    )
    (fault,) = template_faults(TemplateFolder.default(overlay))
    assert "needs codes named comment" in fault
    assert "valid_part" in fault


def test_a_destination_cannot_get_what_is_not_made(site, tmp_path, capsys):
    """A destination that names an object that is switched off is a fault of the configuration."""
    file = configured(tmp_path, site({}), 'objects = ["report", "pdf"]')
    assert run(["check", "--config", str(file)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "destination 'pacs' is to get pdf" in line
    disabled = "pdf:                                 # the page as a document\n    enabled: false"
    enabled = disabled.replace("false", "true")
    overlay = site({"objects/series.yaml": (disabled, enabled)})
    assert overlay.is_dir()
    assert run(["check", "--config", str(file)]) == 0


def test_the_node_does_not_start_with_broken_templates(site, tmp_path, capsys):
    """``cestle serve`` ends with 2 and the path of the template before it listens."""
    overlay = site({"page/layout.yaml": BREAKS["page/layout.yaml"]})
    assert run(["serve", "--config", str(configured(tmp_path, overlay))]) == 2
    assert str(overlay / "page/layout.yaml") in capsys.readouterr().err


def test_every_shipped_file_has_a_model_and_names_its_schema():
    """Each template is read by a model, and those made by hand name the schema of that model."""
    by_model = {model: schema_file_name(name) for name, model in SCHEMAS.items()}
    for relative in SHIPPED.names():
        model = model_of(relative)
        assert model is not None, relative
        first = SHIPPED.path(relative).read_text(encoding="utf-8").splitlines()[0]
        if relative.startswith(("basis/", "calibration/")):
            continue  # written by cestle simulate-basis and cestle calibrate-b1
        up = "../" * relative.count("/")
        assert first == f"# yaml-language-server: $schema={up}schema/{by_model[model]}", relative


def test_the_schemas_are_current():
    """The files in ``schema/`` are what ``cestle export schemas`` writes, and no others."""
    folder = shipped_templates_dir() / "schema"
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert found == {schema_file_name(name): schema_text(name) for name in SCHEMAS}


def test_the_command_writes_the_schemas(tmp_path, capsys):
    """``cestle export schemas`` writes a schema for each model, in the dialect that it names."""
    assert run(["export", "schemas", str(tmp_path)]) == 0
    written = capsys.readouterr().out.split()
    assert len(written) == len(SCHEMAS)
    for path in written:
        schema = json.loads(Path(path).read_text(encoding="utf-8"))
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        assert schema["additionalProperties"] is False


def test_changed_templates_have_a_new_version():
    """The version in force is listed with the hash of the templates in force.

    When a template is changed on purpose: raise the version in template-set.yaml and append a
    line to tests/template_versions.txt; a line of a release is never changed.
    """
    listed = dict(line.split() for line in VERSIONS.read_text(encoding="ascii").splitlines())
    version = SHIPPED.load("template-set.yaml")["version"]
    assert listed.get(version) == SHIPPED.effective_hash(), (
        f"templates changed: raise the version {version} and append "
        f"'VERSION {SHIPPED.effective_hash()}' (with the new version) to {VERSIONS.name}"
    )


def test_no_two_versions_share_a_hash():
    """Each listed version stands once, and its hash is of no other version."""
    lines = [line.split() for line in VERSIONS.read_text(encoding="ascii").splitlines()]
    assert len({version for version, _ in lines}) == len(lines)
    assert len({digest for _, digest in lines}) == len(lines)
