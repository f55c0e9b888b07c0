"""Basis files are read strictly, chosen by the header, and are what the simulation gives."""

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cestle.config.basis import (
    basis_text,
    lines_table,
    load_basis,
    shipped_bases,
    table_lines,
)
from cestle.config.templates import TemplateFolder
from cestle.errors import ConfigError, InputError, ProtocolError
from cestle.mrs.basis import LineList, select_bases
from cestle.service.basis_making import SHIPPED, BasisRecipe, Localisation, make_basis
from cestle.spins.systems import METABOLITES

DEFAULT = "mega_press_5t_te72_gauss14_slices"


@pytest.fixture(scope="module")
def templates():
    return TemplateFolder.default()


@pytest.fixture(scope="module")
def shipped(templates):
    return shipped_bases(templates)


@pytest.fixture(scope="module")
def made():
    return make_basis(SHIPPED["mega_press_5t_te72_gauss14_ideal"])


@pytest.fixture
def content(templates):
    return templates.load(f"basis/{DEFAULT}.yaml")


def written(tmp_path, content):
    path = tmp_path / "basis.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def signal(lines, mhz):
    times = np.arange(0, 0.3, 0.001)
    return np.exp(2j * np.pi * mhz * np.outer(times, lines.shift_ppm - 3.0)) @ lines.amplitude


def test_what_is_shipped_is_what_the_program_knows(shipped):
    """Each recipe has its file and each file its recipe, with the settings of the recipe."""
    assert {basis.settings.name for basis in shipped} == set(SHIPPED)
    for basis in shipped:
        recipe, header = SHIPPED[basis.settings.name], basis.settings
        assert header.frequency_mhz == recipe.frequency_mhz
        assert header.echo_time_ms == recipe.echo_time_ms
        assert header.edit_on_ppm == recipe.edit_on_ppm
        assert header.edit_off_ppm == recipe.edit_off_ppm
        assert header.edit_pulse == recipe.pulse
        assert header.edit_pulse_ms == recipe.pulse_ms
        assert recipe.command in header.source
        assert set(basis.on) == set(basis.off) == set(METABOLITES)


def test_the_shipped_file_is_what_the_simulation_gives(shipped, made):
    """The signals of the file with ideal slices are those of a new simulation to 10⁻³."""
    basis = next(basis for basis in shipped if basis.settings.name == made.id)
    new = made.basis()
    for name, system in METABOLITES.items():
        for lines, again in ((basis.on, new.on), (basis.off, new.off)):
            difference = signal(lines[name], 210.8) - signal(again[name], 210.8)
            assert np.abs(difference).max() < 1e-3 * system.protons


@pytest.mark.parametrize("id", [id for id in SHIPPED if not id.endswith("ideal")])
def test_the_shipped_slices_are_what_the_simulation_gives(shipped, id):
    """Glutamate, whose displacement is largest, is that of a new simulation to 10⁻³."""
    recipe = SHIPPED[id]
    basis = next(basis for basis in shipped if basis.settings.name == id)
    for state, edit_ppm in ((basis.on, recipe.edit_on_ppm), (basis.off, recipe.edit_off_ppm)):
        again = recipe.sequence().resonances(METABOLITES["Glu"], edit_ppm=edit_ppm)
        difference = signal(state["Glu"], recipe.frequency_mhz) - signal(
            again, recipe.frequency_mhz
        )
        assert np.abs(difference).max() < 5e-3


def test_a_written_file_reads_as_it_was(tmp_path, made):
    """Text, file and basis agree, and equal content gives equal text."""
    path = tmp_path / "made.yaml"
    path.write_text(basis_text(made), encoding="utf-8")
    basis, again = made.basis(), load_basis(path)
    assert again.settings == basis.settings
    for name in METABOLITES:
        np.testing.assert_array_equal(again.on[name].shift_ppm, basis.on[name].shift_ppm)
        np.testing.assert_array_equal(again.off[name].amplitude, basis.off[name].amplitude)
    assert basis_text(made) == path.read_text(encoding="utf-8")
    assert path.stat().st_size < 100_000


@given(
    st.dictionaries(
        st.floats(0, 10).map(lambda value: round(value, 4)),
        st.complex_numbers(max_magnitude=9, allow_nan=False),
        min_size=1,
        max_size=20,
    )
)
def test_tables_keep_their_lines(lines):
    """Shifts and amplitudes come back to the digits that are written."""
    shift = np.array(sorted(lines))
    amplitude = np.array([lines[place] for place in shift])
    loud = (np.abs(amplitude.real) >= 1e-5) | (np.abs(amplitude.imag) >= 1e-5)
    if not np.any(loud):
        return
    again = table_lines(lines_table(LineList(shift_ppm=shift, amplitude=amplitude)))
    assert set(shift[loud]) <= set(again.shift_ppm)
    kept = np.isin(shift, again.shift_ppm)
    np.testing.assert_allclose(again.amplitude, amplitude[kept], atol=1e-5)


def changed(content, **changes):
    return {**content, **changes}


def without(content, name):
    rest = {key: part for key, part in content["metabolites"].items() if key != name}
    return {**content, "metabolites": rest}


def table(content, text):
    part = {**content["metabolites"]["Glu"], "edit_on": text}
    return {**content, "metabolites": {**content["metabolites"], "Glu": part}}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (lambda c: changed(c, schema="cestle-basis/2"), "schema"),
        (lambda c: changed(c, version=1), "version"),
        (lambda c: changed(c, frequency_mhz=float("nan")), "frequency_mhz"),
        (lambda c: changed(c, frequency_mhz=-210.8), "frequency_mhz"),
        (lambda c: changed(c, echo_time_ms=float("inf")), "echo_time_ms"),
        (lambda c: changed(c, edit_on_ppm="1.9"), "edit_on_ppm"),
        (lambda c: changed(c, edit_on_ppm=400.0), "edit_on_ppm"),
        (lambda c: changed(c, editor="me"), "editor"),
        (lambda c: {k: v for k, v in c.items() if k != "source"}, "source: Field required"),
        (lambda c: without(c, "GSH"), "lacks GSH"),
        (lambda c: table(c, "3.0 nan 0.0\n"), "edit_on: .*line 1 is '3.0 nan 0.0'"),
        (lambda c: table(c, "3.0 1.0\n"), "line 1"),
        (lambda c: table(c, "3.0 one 0.0\n"), "line 1"),
        (lambda c: table(c, ""), "empty"),
        (lambda c: table(c, "3.0 1 0\n2.0 1 0\n"), "rising"),
        (lambda c: table(c, "210.0 1 0\n"), "rising"),
        (lambda c: table(c, "3.0 5.2 0\n"), "at most the 5 protons"),
        (lambda _: [1, 2], "valid dictionary"),
        (lambda _: None, "valid dictionary"),
    ],
)
def test_faults_are_named_with_the_file(tmp_path, content, fault, message):
    """A file that is not whole is refused; the message names file and place."""
    path = written(tmp_path, fault(content))
    with pytest.raises(ConfigError, match=message) as caught:
        load_basis(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"metabolites: [", b"!!python/object:os.system {}"])
def test_what_is_no_text_or_no_plain_yaml_is_refused(tmp_path, raw):
    """Binary files, broken YAML and Python objects give one line, and nothing is executed."""
    path = tmp_path / "basis.yaml"
    path.write_bytes(raw)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_basis(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_basis(tmp_path / "absent.yaml")


@pytest.mark.parametrize(
    ("frequency_mhz", "echo_time_ms", "first"),
    [
        (210.8, 72.0, DEFAULT),
        (213.0, 71.0, DEFAULT),
        (127.76, 68.0, "mega_press_3t_te68_sincgauss14_slices"),
        (123.25 * 1.02, 69.5, "mega_press_3t_te68_sincgauss14_slices"),
    ],
)
def test_the_header_chooses(shipped, frequency_mhz, echo_time_ms, first):
    """The preferred basis of the field stands first, and no other field is among the rest."""
    found = select_bases(shipped, frequency_mhz=frequency_mhz, echo_time_ms=echo_time_ms)
    assert found[0].settings.name == first
    assert len({basis.settings.frequency_mhz for basis in found}) == 1
    assert len(found) > 1


@pytest.mark.parametrize(
    ("frequency_mhz", "echo_time_ms"),
    [(297.2, 72.0), (210.8, 80.0), (210.8, 68.0), (0.0, 72.0), (float("nan"), 72.0)],
)
def test_what_nothing_was_simulated_for_is_refused(shipped, frequency_mhz, echo_time_ms):
    """The message says what there is and which command makes what is missing."""
    with pytest.raises(ProtocolError, match="cestle simulate-basis --frequency-mhz") as caught:
        select_bases(shipped, frequency_mhz=frequency_mhz, echo_time_ms=echo_time_ms)
    assert "210.8 MHz at TE 72 ms" in str(caught.value)


def test_a_site_puts_its_own_basis_first(tmp_path, templates, content):
    """A file of the overlay with a lower preference, or of the same name, is taken."""
    (tmp_path / "basis").mkdir()
    own = changed(content, id="site", version="7")
    (tmp_path / "basis" / f"{DEFAULT}.yaml").write_text(yaml.safe_dump(own), encoding="utf-8")
    overlaid = TemplateFolder(shipped=templates.shipped, overlay=tmp_path)
    found = select_bases(shipped_bases(overlaid), frequency_mhz=210.8, echo_time_ms=72.0)
    assert (found[0].settings.name, found[0].settings.version) == ("site", "7")
    # a second file that calls itself by the name of a shipped one could be mistaken for it
    twice = changed(content, id="mega_press_5t_te72_gauss17_slices")
    (tmp_path / "basis" / "other.yaml").write_text(yaml.safe_dump(twice), encoding="utf-8")
    with pytest.raises(ConfigError, match="several basis files have the id"):
        shipped_bases(overlaid)


def test_a_folder_without_bases_is_refused(tmp_path):
    """Nothing to choose from is a fault of the configuration."""
    with pytest.raises(ConfigError, match="no basis was found"):
        shipped_bases(TemplateFolder(shipped=tmp_path))


@pytest.mark.parametrize("change", [{"pulse_ms": 0.0}, {"pulse_ms": 40.0}, {"echo_time_ms": 20.0}])
def test_a_recipe_that_cannot_be_played_out_is_refused(change):
    """Nothing is written for a sequence that no scanner could run."""
    usual = {"id": "x", "frequency_mhz": 210.8, "echo_time_ms": 72.0}
    with pytest.raises(InputError):
        make_basis(BasisRecipe(**{**usual, "localisation": Localisation.IDEAL, **change}))
