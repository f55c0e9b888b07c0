"""Ratios of the linear combination against known areas and laws."""

from dataclasses import replace

import numpy as np
import pytest

from cestle.config.basis import shipped_bases
from cestle.config.templates import TemplateFolder
from cestle.errors import NumericalError, ProtocolError
from cestle.mrs.difference_fit import GABA_PLUS, GLX, DifferenceModel
from cestle.mrs.linear_combination import fit_linear_combination, model_spread
from cestle.mrs.uncertainty import bootstrap, bounds, choice_error
from unit.mrs.tissue import CONCENTRATIONS, Tissue, measured

BASES = {basis.settings.name: basis for basis in shipped_bases(TemplateFolder.default())}
USUAL = BASES["mega_press_5t_te72_gauss14_slices"]
FIVE = [basis for name, basis in BASES.items() if "5t" in name]
MODEL = DifferenceModel()
# what the model of the difference leaves out as too small
SMALL = {"Asp": 0.0, "Lac": 0.0, "Tau": 0.0}
PLAIN = Tissue(
    concentrations=CONCENTRATIONS | SMALL,
    mm_fraction=0.0,
    natural=0.0,
    baseline=0.0,
    water_foot=0.0,
    skew=0.0,
    shift_hz=0.0,
    phase_rad=0.0,
    noise=1e-6,
)
TYPICAL = Tissue(noise=0.011, baseline=0.3)


def ratios(spectra, basis=USUAL):
    """GABA+/Cr and Glx/Cr with one basis."""
    fit = fit_linear_combination(spectra, [basis], MODEL)[0]
    return np.array([fit.gaba_cr, fit.glx_cr])


def changed(spectra, on, off):
    """Spectra with ON and OFF multiplied by factors over time."""
    return replace(spectra, on=spectra.on * on, off=spectra.off * off)


@pytest.fixture(scope="module")
def typical():
    """A measurement with noise, baseline, skewed lines and its ratios."""
    spectra, truth = measured(USUAL, TYPICAL)
    return spectra, truth, ratios(spectra)


def test_known_areas_come_back():
    """Without noise, macromolecules and baseline both ratios are exact to 1 %."""
    spectra, truth = measured(USUAL, PLAIN)
    assert ratios(spectra) == pytest.approx([truth.gaba_cr, truth.glx_cr], rel=0.01)


def test_unknown_macromolecules_and_lines_are_borne():
    """What the fit is not told costs GABA+/Cr at most 10 % and Glx/Cr at most 5 % of bias."""
    errors = []
    for seed in range(6):
        shape = {"mm_over_09": 0.55 + 0.07 * seed, "mm_fraction": 0.45 + 0.03 * seed}
        spectra, truth = measured(USUAL, replace(TYPICAL, seed=seed, **shape))
        errors.append(ratios(spectra) / [truth.gaba_cr, truth.glx_cr] - 1.0)
    assert np.abs(np.mean(errors, axis=0)) == pytest.approx([0.0, 0.0], abs=0.10)
    assert abs(np.mean(errors, axis=0)[1]) < 0.05


def test_nothing_reads_as_nothing():
    """Without GABA and macromolecules GABA+/Cr is below 0.03."""
    empty = replace(TYPICAL, concentrations={**CONCENTRATIONS, "GABA": 0.0})
    for seed in range(3):
        spectra, _ = measured(USUAL, replace(empty, seed=seed))
        assert ratios(spectra)[0] < 0.03


def test_scale_changes_nothing(typical):
    """Spectra 1e6 times as large have the same ratios."""
    spectra, _, expected = typical
    assert ratios(changed(spectra, 1e6, 1e6)) == pytest.approx(expected, rel=1e-6)


def test_common_phase_and_shift_change_little(typical):
    """A phase of 6° and a shift of 2 Hz of both states move no ratio by more than 1 %."""
    spectra, _, expected = typical
    time = np.arange(len(spectra.on)) * spectra.protocol.dwell_s
    turn = np.exp(1j * np.deg2rad(6.0) + 2j * np.pi * 2.0 * time)
    assert ratios(changed(spectra, turn, turn)) == pytest.approx(expected, rel=0.01)


def test_mismatch_of_the_states_is_found(typical):
    """ON turned by 2° and moved by 0.4 Hz against OFF changes GABA+/Cr by less than 4 %."""
    spectra, _, expected = typical
    time = np.arange(len(spectra.on)) * spectra.protocol.dwell_s
    turn = np.exp(1j * np.deg2rad(2.0) + 2j * np.pi * 0.4 * time)
    assert ratios(changed(spectra, turn, 1.0)) == pytest.approx(expected, rel=0.04)


def test_twice_the_creatine_halves_the_ratios():
    """Creatine that doubles in both states halves both ratios."""
    double = {name: (2.0 if name in ("Cr", "PCr") else 1.0) for name in CONCENTRATIONS}
    more = {name: amount * double[name] for name, amount in PLAIN.concentrations.items()}
    once, _ = measured(USUAL, PLAIN)
    twice, _ = measured(USUAL, replace(PLAIN, concentrations=more))
    assert ratios(twice) == pytest.approx(0.5 * ratios(once), rel=0.02)


@pytest.mark.parametrize("basis", FIVE, ids=lambda basis: basis.settings.name)
def test_the_basis_of_the_data_is_chosen(basis):
    """Data made with a shipped basis are most likely under it, and the ratio follows."""
    spectra, truth = measured(basis, replace(TYPICAL, seed=3))
    best = fit_linear_combination(spectra, FIVE, MODEL)[0]
    assert best.basis.settings.name == basis.settings.name
    assert best.gaba_cr == pytest.approx(truth.gaba_cr, rel=0.25)
    assert best.glx_cr == pytest.approx(truth.glx_cr, rel=0.15)


def test_bound_is_the_scatter_of_the_fit():
    """Repeated noise scatters both ratios by the Cramér-Rao bound, to two fifths of it."""
    values, limits = [], []
    for seed in range(14):
        spectra, _ = measured(USUAL, replace(PLAIN, noise=0.01, seed=seed))
        fit = fit_linear_combination(spectra, [USUAL], MODEL)[0]
        values.append((fit.gaba_cr, fit.glx_cr))
        found = bounds(fit, spectra)
        limits.append((found.gaba_cr, found.glx_cr))
    scatter = np.std(values, axis=0, ddof=1)
    # constraints count as data, so that the bound of GABA+ may exceed the scatter by noise
    assert 0.45 < scatter[0] / np.mean(limits, axis=0)[0] < 1.35
    assert scatter[1] == pytest.approx(np.mean(limits, axis=0)[1], rel=0.4)


@pytest.mark.parametrize("transients", [60, None])
def test_bootstrap_agrees_with_the_bound(transients):
    """With white noise the bootstrap finds the bound of Glx/Cr to a third, also of averages."""
    spectra, _ = measured(USUAL, replace(TYPICAL, transients=transients))
    fit = fit_linear_combination(spectra, [USUAL], MODEL)[0]
    glx, creatine = fit.difference.weights(*GLX), fit.off.weights("tCr")
    draws = bootstrap(fit, spectra, draws=200)
    scatter = draws.scatter(lambda off, edited: edited @ glx / (off @ creatine))
    assert scatter == pytest.approx(bounds(fit, spectra).glx_cr, rel=0.34)


def test_bootstrap_sees_what_transients_do():
    """Pairs that differ in GABA+ by more than the noise widen the bootstrap, not the bound."""
    spectra, _ = measured(USUAL, replace(TYPICAL, transients=60))
    fit = fit_linear_combination(spectra, [USUAL], MODEL)[0]
    gaba, creatine = fit.difference.weights(*GABA_PLUS), fit.off.weights("tCr")

    def scatter(one):
        draws = bootstrap(fit, one, draws=200)
        return draws.scatter(lambda off, edited: edited @ gaba / (off @ creatine))

    swing = np.where(np.arange(60) % 2, 1.4, 0.6)[:, None]
    restless = replace(spectra, transients_on=spectra.transients_on * swing)
    assert scatter(restless) > 2.0 * scatter(spectra)


def test_equal_data_give_equal_errors():
    """Two runs of the bootstrap draw the same numbers."""
    spectra, _ = measured(USUAL, replace(TYPICAL, transients=20))
    fit = fit_linear_combination(spectra, [USUAL], MODEL)[0]
    first, second = (bootstrap(fit, spectra, draws=20).difference for _ in range(2))
    assert np.array_equal(first, second)


def test_spread_names_the_choices(typical):
    """Six to nine choices are tried with what is reported, and they do not all agree."""
    spectra = typical[0]
    fits = fit_linear_combination(spectra, FIVE[:2], MODEL)
    spread = model_spread(spectra, fits, MODEL)
    assert 6 <= len(spread["gaba_cr"].values) <= 9
    assert spread["gaba_cr"].values["as reported"] == pytest.approx(fits[0].gaba_cr)
    assert choice_error(spread["gaba_cr"].values.values()) > 0.0


@pytest.mark.parametrize("size", [0.0, 1.0])
def test_no_creatine_is_refused(size):
    """Noise alone, and silence, raise: there is nothing to divide by."""
    spectra, _ = measured(USUAL, TYPICAL)
    rng = np.random.default_rng(1)
    noise = size * (rng.normal(size=(2, 2048)) + 1j * rng.normal(size=(2, 2048)))
    with pytest.raises(NumericalError, match="no creatine"):
        ratios(replace(spectra, on=noise[0], off=noise[1]))


def test_no_basis_is_refused(typical):
    """Without a basis the fit says how to make one."""
    with pytest.raises(ProtocolError, match="simulate-basis"):
        fit_linear_combination(typical[0], [], MODEL)
