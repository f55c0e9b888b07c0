"""`cestle simulate-basis` as a user runs it."""

import pytest

from cestle.cli.app import run
from cestle.config.basis import load_basis
from cestle.config.templates import TemplateFolder

COMMAND = ["simulate-basis", "--frequency-mhz", "210.8", "--echo-time-ms", "72"]
IDEAL = ["--localisation", "ideal"]


def test_the_command_in_a_shipped_file_makes_that_file_again(tmp_path):
    """The header says how the file was made, and this is true."""
    name = "mega_press_5t_te72_gauss14_ideal"
    path = TemplateFolder.default().path(f"basis/{name}.yaml")
    shipped = load_basis(path)
    words = shipped.settings.source.partition("made by: cestle ")[2].split()
    out = tmp_path / "again.yaml"
    assert run([*words, "--out", str(out)]) == 0
    again = load_basis(out)
    assert again.settings == shipped.settings
    for state, other in ((again.on, shipped.on), (again.off, shipped.off)):
        for metabolite, lines in state.items():
            assert lines.area == pytest.approx(other[metabolite].area, abs=1e-3)


def test_it_says_what_it_found(tmp_path, capsys):
    """File, name and the edited GABA area on stdout; the name is that of the file."""
    out = tmp_path / "site_te80.yaml"
    assert run([*COMMAND[:3], "--echo-time-ms", "80", *IDEAL, "--out", str(out)]) == 0
    assert "site_te80; GABA at 3.0 ppm" in capsys.readouterr().out
    settings = load_basis(out).settings
    assert (settings.name, settings.echo_time_ms) == ("site_te80", 80.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--pulse", "square"], "--pulse is square"),
        (["--localisation", "laser"], "--localisation is laser"),
        (["--pulse-ms", "40"], "lacks"),
        (["--frequency-mhz", "5"], "--frequency-mhz"),
        (["--name", "with space"], "--name"),
        (["--edit-on-ppm", "nan"], "edit ON is at nan ppm"),
        (["--edit-off-ppm", "75"], "edit OFF is at 75 ppm"),
        (["--first-echo-ms", "0"], "the first echo lasts 0 ms"),
        (["--first-echo-ms", "nan"], "--first-echo-ms"),
        (["--slice-hz", "nan", "--localisation", "slices"], "--slice-hz"),
    ],
)
def test_bad_options_give_one_line_and_no_file(tmp_path, capsys, options, message):
    """Exit code 2, what was found, and nothing left behind."""
    out = tmp_path / "basis.yaml"
    assert run([*COMMAND, *IDEAL, *options, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not out.exists()


def test_no_file_is_overwritten(tmp_path, capsys):
    """A basis that a report may name is not replaced, and folders are not made."""
    out = tmp_path / "basis.yaml"
    out.write_text("precious", encoding="utf-8")
    assert run([*COMMAND, *IDEAL, "--out", str(out)]) == 2
    assert out.read_text(encoding="utf-8") == "precious"
    assert run([*COMMAND, *IDEAL, "--out", str(tmp_path / "no" / "basis.yaml")]) == 2
    assert "is no folder" in capsys.readouterr().err
