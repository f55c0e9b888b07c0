"""The atlas is read from two files, strictly, and without starting the library that brings one."""

import subprocess
import sys

import pytest
import yaml

from cestle.config import atlas
from cestle.config.atlas import SHIPPED_TABLE, load_atlas_template, load_ellipse_table
from cestle.errors import ConfigError


@pytest.fixture
def content():
    return yaml.safe_load(SHIPPED_TABLE.read_text(encoding="utf-8"))


def written(tmp_path, content):
    path = tmp_path / "table.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_the_table_names_its_origin_and_licence():
    """Whoever uses the numbers is told whose they are."""
    table = load_ellipse_table()
    assert "SynthSeg" in table.source
    assert "Apache-2.0" in table.source


def test_nilearn_is_not_imported():
    """Its import would take longer than the reading of its file."""
    code = (
        "import sys; from cestle.config.atlas import load_atlas_template; "
        "load_atlas_template(); print('nilearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def no_radius(content):
    content["structures"]["amygdala"]["rows"][1][3] = 0.0


def falling(content):
    content["structures"]["hippocampus"]["rows"].reverse()


def one_structure(content):
    del content["structures"]["amygdala"]


def short_row(content):
    content["structures"]["hippocampus"]["rows"][0].pop()


def another_space(content):
    content["space"] = "MNI305"


@pytest.mark.parametrize("spoil", [no_radius, falling, one_structure, short_row, another_space])
def test_a_table_that_does_not_fit_is_refused(tmp_path, content, spoil):
    spoil(content)
    with pytest.raises(ConfigError, match=r"table\.yaml"):
        load_ellipse_table(written(tmp_path, content))


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.yaml cannot be read"):
        load_ellipse_table(tmp_path / "none.yaml")


def test_without_the_package_of_the_template_the_reason_is_said(monkeypatch):
    """A half installed cestle says which package is missing."""
    monkeypatch.setattr(atlas, "_PACKAGE", "no-such-package-here")
    with pytest.raises(ConfigError, match="no-such-package-here"):
        load_atlas_template()


def test_a_package_without_the_template_is_refused(monkeypatch):
    """A release that has dropped or renamed the file is told from a missing package."""
    monkeypatch.setattr(atlas, "_TEMPLATE", "another_template.nii.gz")
    with pytest.raises(ConfigError, match=r"another_template\.nii\.gz"):
        load_atlas_template()
