from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from cestle.phantom.bloch_mcconnell import (
    RAD_PER_S_PER_UT,
    ExchangePool,
    Lineshape,
    SaturationSequence,
    SemisolidPool,
    Tissue,
    evolve,
    generators,
    glucest_percent,
    saturation_rate,
    super_lorentzian,
    water_mz,
)
from cestle.phantom.tissues import (
    CEREBROSPINAL_FLUID,
    GREY_MATTER,
    HIPPOCAMPUS,
    WHITE_MATTER,
    with_contrast,
    with_glutamate,
)

F0_MHZ = 210.8
RAD_PER_PPM = 2.0 * np.pi * F0_MHZ
SEQUENCE = SaturationSequence(
    b1_rms_ut=4.0,
    saturation_s=1.0,
    repetition_s=6.0,
    echo_s=0.0065,
    f0_mhz=F0_MHZ,
    intravoxel_hz=2.0,
)
WATER = Tissue(name="water", proton_density=1.0, t1_s=1.4, t2_s=0.065)


def after_pulse(tissue, offsets_ppm, *, b1_ut, duration_s, intravoxel_hz=0.0):
    """Water Mz after a pulse that begins at equilibrium."""
    omega1 = np.full(len(offsets_ppm), b1_ut * RAD_PER_S_PER_UT)
    a, b = generators(tissue, np.asarray(offsets_ppm), omega1, f0_mhz=F0_MHZ)
    start = equilibrium(tissue)
    after = evolve(a, b, start, duration_s=duration_s, intravoxel_hz=intravoxel_hz)
    return after[:, 2]


def equilibrium(tissue):
    longitudinal = [1.0, *(pool.fraction for pool in tissue.pools)]
    state = [value for fraction in longitudinal for value in (0.0, 0.0, fraction)]
    return np.array(state + ([tissue.semisolid.fraction] if tissue.semisolid else []))


def test_without_a_pulse_water_recovers_with_t1():
    """Without RF the signal is 1 − exp(−TR/T1), whatever the offset."""
    idle = replace(SEQUENCE, b1_rms_ut=0.0)
    mz = water_mz(WATER, np.array([-3.0, 0.0, 3.0]), np.ones(3), sequence=idle)
    # The system at rest recovers over the pause and through the idle pulse alike.
    np.testing.assert_allclose(mz, 1.0 - np.exp(-6.0 / 1.4), rtol=1e-9)


@given(
    offset_ppm=st.floats(-6.0, 6.0),
    b1_ut=st.floats(0.1, 6.0),
    t1_s=st.floats(0.5, 4.5),
    t2_s=st.floats(0.02, 0.4),
)
@settings(max_examples=40, deadline=None)
def test_a_long_pulse_reaches_the_steady_state_of_bloch(offset_ppm, b1_ut, t1_s, t2_s):
    """Mz after 20 T1 is (1 + (Δ T2)²) / (1 + (Δ T2)² + ω1² T1 T2), the solution of Bloch."""
    water = Tissue(name="water", proton_density=1.0, t1_s=t1_s, t2_s=t2_s)
    found = after_pulse(water, [offset_ppm], b1_ut=b1_ut, duration_s=20.0 * t1_s)
    detuned = 1.0 + (offset_ppm * RAD_PER_PPM * t2_s) ** 2
    driven = (b1_ut * RAD_PER_S_PER_UT) ** 2 * t1_s * t2_s
    np.testing.assert_allclose(found, detuned / (detuned + driven), rtol=1e-5, atol=1e-7)


@given(offset_ppm=st.floats(1.5, 6.0), b1_ut=st.floats(0.5, 6.0))
@settings(max_examples=30, deadline=None)
def test_direct_saturation_decays_with_r1rho(offset_ppm, b1_ut):
    """After dephasing Mz goes from cos²θ to R1 cos²θ/R1ρ with R1ρ = R1 cos²θ + R2 sin²θ."""
    # Zaiss M, Bachert P. Phys Med Biol 2013;58:R221. doi:10.1088/0031-9155/58/22/R221
    omega1, detuning = b1_ut * RAD_PER_S_PER_UT, offset_ppm * RAD_PER_PPM
    cos2 = detuning**2 / (detuning**2 + omega1**2)
    r1rho = cos2 / WATER.t1_s + (1.0 - cos2) / WATER.t2_s
    steady = cos2 / WATER.t1_s / r1rho
    expected = (cos2 - steady) * np.exp(-r1rho * 0.5) + steady
    found = after_pulse(WATER, [offset_ppm], b1_ut=b1_ut, duration_s=0.5, intravoxel_hz=20.0)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("rate_per_s", [20.0, 100.0, 400.0])
@pytest.mark.parametrize("b1_ut", [0.5, 1.0, 2.0])
def test_weak_exchange_adds_the_labelled_rate(rate_per_s, b1_ut):
    """On a dilute pool the steady state has the extra rate of labelled exchange, within 3 %."""
    # Exchange-dependent relaxation on resonance of the pool: f k α Δω²/(Δω² + ω1²) with
    # α = ω1²/(ω1² + k (k + R2b)). Trott O, Palmer AG. J Magn Reson 2002;154:157-160.
    # doi:10.1006/jmre.2001.2466; Zaiss M, Bachert P. J Chem Phys 2012;136:144106,
    # which is doi:10.1063/1.3701178.
    fraction, shift_ppm, r2b = 2e-4, 3.5, 10.0
    pool = ExchangePool(
        name="solute",
        shift_ppm=shift_ppm,
        fraction=fraction,
        exchange_per_s=rate_per_s,
        t1_s=1.4,
        t2_s=1.0 / r2b,
    )
    omega1, detuning = b1_ut * RAD_PER_S_PER_UT, shift_ppm * RAD_PER_PPM
    alpha = omega1**2 / (omega1**2 + rate_per_s * (rate_per_s + r2b))
    cos2 = detuning**2 / (detuning**2 + omega1**2)
    expected = fraction * rate_per_s * alpha * cos2
    tissue = replace(WATER, pools=(pool,))
    with_pool, without = (
        float(after_pulse(each, [shift_ppm], b1_ut=b1_ut, duration_s=30.0)[0])
        for each in (tissue, WATER)
    )
    # Steady state Z = R1 cos²θ / R1ρ, so the difference of 1/Z is Rex / (R1 cos²θ).
    found = (1.0 / with_pool - 1.0 / without) * cos2 / WATER.t1_s
    assert found == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("tissue", [GREY_MATTER, WHITE_MATTER, CEREBROSPINAL_FLUID])
def test_equilibrium_stays(tissue):
    """Detailed balance: without RF the equilibrium of all pools does not move."""
    a, b = generators(tissue, np.array([1.3]), np.zeros(1), f0_mhz=F0_MHZ)
    np.testing.assert_allclose(a[0] @ equilibrium(tissue) + b, 0.0, atol=1e-9)


@given(offset_ppm=st.floats(0.3, 6.0), b1=st.floats(0.3, 1.5))
@settings(max_examples=20, deadline=None)
def test_without_solutes_the_spectrum_is_symmetric(offset_ppm, b1):
    """Water and a centred semisolid pool give equal signal at both sides."""
    bare = replace(GREY_MATTER, pools=())
    pair = np.array([-offset_ppm, offset_ppm])
    left, right = water_mz(bare, pair, np.full(2, b1), sequence=SEQUENCE)
    assert left == pytest.approx(right, rel=1e-9)


@pytest.mark.parametrize("offset_ppm", [-3.0, 0.4, 3.0])
def test_the_exponentials_solve_the_differential_equation(offset_ppm):
    """An ODE solver that knows no eigenvalues finds the same magnetisation after 60 ms."""
    omega1 = np.array([4.0 * RAD_PER_S_PER_UT])
    a, b = generators(GREY_MATTER, np.array([offset_ppm]), omega1, f0_mhz=F0_MHZ)
    start = equilibrium(GREY_MATTER)
    integrated = solve_ivp(
        lambda _, m: a[0] @ m + b,
        (0.0, 0.06),
        start,
        method="Radau",
        jac=a[0],
        rtol=1e-8,
        atol=1e-11,
    )
    found = evolve(a, b, start, duration_s=0.06, intravoxel_hz=0.0)[0]
    np.testing.assert_allclose(found, integrated.y[:, -1], atol=3e-6)


OFFSETS_PPM = [-5.0, -3.4, -3.0, -2.6, -1.0, 1.0, 2.6, 3.0, 3.4, 5.0]
# Water 1.4 s / 65 ms; +3.5 ppm 72/111000 30 per s 100 ms; +3 ppm 20/111000 5500 per s 200 ms;
# −3.5 ppm 500/111000 16 per s 0.5 ms; semisolid 0.0495 40 per s 1.3 s 9 µs; 4 µT for 1 s from
# equilibrium at 210.8 MHz. Computed with BMCTool 1.0.3 (BlochMcConnellSolver.solve_equation).
BMCTOOL = {
    None: [
        0.718542, 0.536038, 0.466447, 0.385720, 0.065441,
        0.064802, 0.381697, 0.462278, 0.532625, 0.728745,
    ],
    Lineshape.LORENTZIAN: [
        0.573741, 0.442966, 0.391882, 0.331451, 0.065555,
        0.064942, 0.328395, 0.388787, 0.440482, 0.581188,
    ],
    Lineshape.SUPER_LORENTZIAN: [
        0.405658, 0.316375, 0.283475, 0.244914, 0.059692,
        0.059181, 0.243070, 0.281631, 0.314917, 0.410440,
    ],
}  # fmt: skip


@pytest.mark.parametrize(("lineshape", "expected"), BMCTOOL.items())
def test_another_simulator_agrees(lineshape, expected):
    """BMCTool gives the same z-spectrum; its coarser super-Lorentzian differs below 6e-4."""
    pools = tuple(
        ExchangePool(
            name=name,
            shift_ppm=shift,
            fraction=protons_mm / 111_000.0,
            exchange_per_s=rate,
            t1_s=1.3,
            t2_s=t2_s,
        )
        for name, shift, protons_mm, rate, t2_s in (
            ("amide", 3.5, 72.0, 30.0, 0.1),
            ("amine", 3.0, 20.0, 5500.0, 0.2),
            ("NOE", -3.5, 500.0, 16.0, 0.0005),
        )
    )
    semisolid = lineshape and SemisolidPool(
        fraction=0.0495, exchange_per_s=40.0, t1_s=1.3, t2_s=9e-6, lineshape=lineshape
    )
    tissue = replace(WATER, pools=pools, semisolid=semisolid)
    found = after_pulse(tissue, OFFSETS_PPM, b1_ut=4.0, duration_s=1.0)
    tolerance = 6e-4 if lineshape is Lineshape.SUPER_LORENTZIAN else 2e-6
    np.testing.assert_allclose(found, expected, atol=tolerance)


def test_the_super_lorentzian_has_unit_area():
    """The line integrates to 1 over angular frequency, within 2 % for the cut-off centre."""
    detuning = np.concatenate([np.linspace(0.0, 2e4, 4001), np.geomspace(2e4, 3e6, 3000)[1:]])
    line = super_lorentzian(detuning, t2_s=9e-6)
    assert 2.0 * np.trapezoid(line, detuning) == pytest.approx(1.0, abs=0.02)


def test_the_lorentzian_rate_is_that_of_bloch():
    """On resonance a Lorentzian pool saturates with ω1² T2."""
    pool = SemisolidPool(
        fraction=0.05, exchange_per_s=40.0, t1_s=1.0, t2_s=1e-5, lineshape=Lineshape.LORENTZIAN
    )
    rate = saturation_rate(pool, np.zeros(1), np.array([1000.0]))
    assert rate[0] == pytest.approx(1000.0**2 * 1e-5)


def test_the_spread_inside_a_voxel_is_an_average_over_b0():
    """Dephasing equals the mean over a Lorentzian distribution of B0 in free precession."""
    a, b = generators(WATER, np.array([0.0]), np.zeros(1), f0_mhz=F0_MHZ)
    a = a.copy()
    detuning = 2.0 * np.pi * 30.0
    a[0, 0, 1], a[0, 1, 0] = -detuning, detuning
    found = evolve(a, b, np.array([1.0, 0.0, 0.0]), duration_s=0.02, intravoxel_hz=5.0)[0]
    # The Fourier transform of a Lorentzian of half width 5 Hz is exp(−2π 5 Hz |t|).
    length = np.exp(-0.02 / WATER.t2_s) * np.exp(-2.0 * np.pi * 5.0 * 0.02)
    assert np.hypot(found[0], found[1]) == pytest.approx(length, rel=1e-6)


def test_the_contrast_lies_where_measurements_put_it():
    """Grey matter shows 8 to 11 %, white matter less, at a quarter of the full signal."""
    grey, white = (
        glucest_percent(tissue, target_ppm=3.0, sequence=SEQUENCE)
        for tissue in (GREY_MATTER, WHITE_MATTER)
    )
    assert 8.0 < grey < 11.0
    assert 3.0 < white < 0.7 * grey
    saturated = water_mz(GREY_MATTER, np.array([-3.0]), np.ones(1), sequence=SEQUENCE)
    full = water_mz(
        GREY_MATTER, np.array([-3.0]), np.ones(1), sequence=replace(SEQUENCE, b1_rms_ut=0.0)
    )
    assert 0.22 < saturated[0] / full[0] < 0.30


def test_the_signal_rises_away_from_water():
    """At 4 µT each tissue is brighter at 3.4 than at 3.0 than at 2.6 ppm, on both sides."""
    offsets = np.array([2.6, 3.0, 3.4])
    for tissue in (GREY_MATTER, WHITE_MATTER, HIPPOCAMPUS, CEREBROSPINAL_FLUID):
        for side in (-1.0, 1.0):
            mz = water_mz(tissue, side * offsets, np.ones(3), sequence=SEQUENCE)
            assert np.all(np.diff(mz) > 0.0), tissue.name


@given(percent=st.floats(7.0, 12.0))
@settings(max_examples=10, deadline=None)
def test_glutamate_sets_the_contrast(percent):
    """A tissue made for a contrast has it, and only its glutamate differs."""
    made = with_contrast(HIPPOCAMPUS, percent, target_ppm=3.0, sequence=SEQUENCE)
    assert glucest_percent(made, target_ppm=3.0, sequence=SEQUENCE) == pytest.approx(percent)
    ratio = made.pools[1].fraction / HIPPOCAMPUS.pools[1].fraction
    assert made == with_glutamate(HIPPOCAMPUS, ratio)
