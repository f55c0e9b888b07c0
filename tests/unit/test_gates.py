"""Each static gate is shown to bite: a planted violation makes it fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(tool, *arguments, cwd, **environment):
    """Run a development tool of this environment in `cwd`."""
    program = Path(sys.executable).parent / tool
    if not program.exists():
        pytest.skip(f"{tool} is not installed beside {sys.executable}; run make test")
    return subprocess.run(
        [str(program), *arguments],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path):
    """A copy of the package and its tool settings, free to be broken."""
    shutil.copytree(
        ROOT / "plugin", tmp_path / "plugin", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("cest/b0.py", "import cestle.study.results", "Layers"),
        ("cest/b0.py", "import cestle.anatomy.slab", "Layers"),
        ("study/analysis.py", "import pydicom", "numerical packages"),
        ("render/colors.py", "import pathlib", "numerical packages"),
        ("service/__init__.py", "import pydicom", "decodes DICOM"),
        ("spool/__init__.py", "import pynetdicom", "associations"),
        ("service/__init__.py", "import dbos", "workflow library"),
    ],
)
def test_layer_contracts_name_a_planted_import(checkout, module, line, contract):
    """An import against the layers breaks the contract that forbids it."""
    planted = checkout / "plugin" / "cestle" / module
    planted.write_text(f"{planted.read_text()}\n{line}\n")
    result = run("lint-imports", "--no-cache", cwd=checkout, PYTHONPATH=str(checkout / "plugin"))
    broken = [row for row in result.stdout.splitlines() if row.endswith("BROKEN")]
    assert result.returncode != 0
    assert len(broken) == 1
    assert contract in broken[0]


@pytest.mark.parametrize(
    ("code", "rule"),
    [
        ('"""Doc."""\n\n\ndef area(side: float) -> float:\n    return side * side\n', "D103"),
        ('"""Doc."""\n\nprint(1)\n', "T201"),
        ('"""Doc."""\n\ntry:\n    pass\nexcept Exception:\n    pass\n', "BLE001"),
    ],
)
def test_ruff_names_a_planted_fault(checkout, code, rule):
    """An undocumented function, a print and a blind except are each refused by ruff."""
    (checkout / "plugin" / "cestle" / "planted.py").write_text(code)
    result = run("ruff", "check", "--no-cache", "plugin/cestle/planted.py", cwd=checkout)
    assert result.returncode != 0
    assert rule in result.stdout


def test_mypy_names_a_planted_fault(tmp_path):
    """A function that returns the wrong type is refused by mypy --strict."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "planted.py").write_text("def area(side: float) -> str:\n    return side\n")
    result = run("mypy", "--cache-dir", str(tmp_path / "cache"), "planted.py", cwd=tmp_path)
    assert result.returncode != 0
    assert "Incompatible return value type" in result.stdout
