"""MEGA-PRESS against theory, a brute-force simulation, and published efficiencies."""

from functools import reduce
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from cestle.errors import InputError
from cestle.spins import megapress
from cestle.spins.megapress import MegaPress, Slices
from cestle.spins.operators import coherence_order, hamiltonian, lowering
from cestle.spins.pulses import Pulse, PulseShape, inversion, shaped_propagators
from cestle.spins.systems import METABOLITES, SpinGroup, SpinSystem

GAUSS_14 = Pulse(shape=PulseShape.GAUSS, duration_s=0.014)
GAUSS_17 = Pulse(shape=PulseShape.GAUSS, duration_s=0.017)
GAUSS_20 = Pulse(shape=PulseShape.GAUSS, duration_s=0.020)
SINC_GAUSS_14 = Pulse(shape=PulseShape.SINC_GAUSS, duration_s=0.014)
JUPITER_MHZ = 210.8
PHILIPS_MHZ = 127.79


def sequence(*, mhz=JUPITER_MHZ, echo_s=0.072, first_s=0.012, editing=GAUSS_14, slices_hz=None):
    return MegaPress(
        frequency_mhz=mhz,
        echo_time_s=echo_s,
        first_echo_s=first_s,
        editing=editing,
        slices=None if slices_hz is None else Slices(width_hz=slices_hz),
    )


def edited(sequence, name, low, high):
    """Area of ON minus OFF in a window [protons]."""
    on = sequence.resonances(METABOLITES[name], edit_ppm=1.9)
    off = sequence.resonances(METABOLITES[name], edit_ppm=7.5)
    return on.within(low, high).area - off.within(low, high).area


def pair(j_hz, *shifts):
    return SpinSystem(
        name="AX", groups=(SpinGroup(shift_ppm=shifts, coupling_hz={(0, 1): j_hz}),), source=""
    )


@pytest.mark.parametrize("slices_hz", [None, 1360.0])
@pytest.mark.parametrize("edit_ppm", [None, 7.5])
def test_a_singlet_has_its_protons_and_its_phase(slices_hz, edit_ppm):
    """Wherever it resonates, an uncoupled methyl group has area 3 and no phase."""
    system = SpinSystem(
        name="singlets",
        groups=tuple(SpinGroup(shift_ppm=(shift,), copies=3) for shift in (1.3, 2.0, 3.0, 4.2)),
        source="",
    )
    lines = sequence(slices_hz=slices_hz).resonances(system, edit_ppm=edit_ppm)
    np.testing.assert_allclose(lines.shift_ppm, [1.3, 2.0, 3.0, 4.2], atol=1e-9)
    np.testing.assert_allclose(lines.amplitude, 3.0, atol=2e-3)


@pytest.mark.parametrize("name", METABOLITES)
def test_at_no_echo_time_all_protons_are_there(name):
    """Sum rules: the area is the number of protons, the mean frequency the mean shift."""
    system = METABOLITES[name]
    lines = sequence(echo_s=1e-7, first_s=5e-8, editing=None).resonances(system, edit_ppm=None)
    assert lines.area == pytest.approx(system.protons, abs=1e-4)
    total = sum(group.copies * sum(group.shift_ppm) for group in system.groups)
    # couplings commute with the receiver, so that they move no intensity on average
    assert float(lines.amplitude.real @ lines.shift_ppm) == pytest.approx(total, abs=1e-3)
    assert np.abs(lines.amplitude.imag).max() < 1e-3


def test_two_spins_give_the_quartet_of_the_textbook():
    """An AB pair: places ±½(J ± √(Δ²+J²)), intensities 1 ∓ J/√(Δ²+J²)."""
    j_hz, difference_hz = 15.0, 25.0
    half = difference_hz / 2 / JUPITER_MHZ
    lines = sequence(echo_s=1e-7, first_s=5e-8, editing=None).resonances(
        pair(j_hz, 3.0 - half, 3.0 + half), edit_ppm=None
    )
    root = np.hypot(j_hz, difference_hz)
    places = np.array([-(root + j_hz), -(root - j_hz), root - j_hz, root + j_hz]) / 2
    outer, inner = (1 - j_hz / root) / 2, (1 + j_hz / root) / 2
    np.testing.assert_allclose((lines.shift_ppm - 3.0) * JUPITER_MHZ, places, atol=1e-6)
    np.testing.assert_allclose(lines.amplitude.real, [outer, inner, inner, outer], atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.floats(1.0, 15.0), st.floats(0.03, 0.2))
def test_weakly_coupled_spins_are_modulated_by_j(j_hz, echo_s):
    """Without editing the doublet of an AX pair has the area cos(π J TE)."""
    lines = sequence(mhz=3e5, echo_s=echo_s, editing=None).resonances(
        pair(j_hz, 3.0, 1.9), edit_ppm=None
    )
    assert lines.within(2.9, 3.1).area == pytest.approx(np.cos(np.pi * j_hz * echo_s), abs=1e-3)


@settings(deadline=None, max_examples=25)
@given(st.floats(1.0, 10.0))
def test_editing_stops_the_modulation(j_hz):
    """With its partner inverted twice, half an echo apart, the doublet is whole again."""
    # far apart the pulse touches one spin alone; short against 1/J it inverts the partner at once
    short = Pulse(shape=PulseShape.GAUSS, duration_s=0.002)
    lines = sequence(mhz=3000.0, editing=short).resonances(pair(j_hz, 3.0, 1.9), edit_ppm=1.9)
    assert lines.within(2.9, 3.1).area == pytest.approx(1.0, abs=0.005)
    # the gradients about the editing pulses remove what they invert
    assert abs(lines.within(1.8, 2.0).area) < 0.01


def test_a_pulse_on_creatine_removes_creatine_and_leaves_naa():
    """Editing at 3.03 ppm: no creatine methyl signal, NAA methyl as without it."""
    on_creatine = sequence()
    creatine = on_creatine.resonances(METABOLITES["Cr"], edit_ppm=3.027)
    assert abs(creatine.within(2.9, 3.1).area) < 1e-3
    assert creatine.within(3.8, 4.0).area == pytest.approx(2.0, abs=0.01)
    naa = on_creatine.resonances(METABOLITES["NAA"], edit_ppm=3.027)
    assert naa.within(2.0, 2.02).area == pytest.approx(3.0, abs=1e-3)


@pytest.mark.parametrize("name", ["GABA", "Glu", "Gln", "Asp", "mIns", "GPC"])
@pytest.mark.parametrize("slices_hz", [None, 1360.0])
def test_off_is_press_for_spins_far_from_the_pulse(name, slices_hz):
    """Editing at 7.5 ppm leaves everything below 5 ppm as PRESS has it."""
    times = np.arange(0, 0.2, 0.002)
    signals = []
    for edit_ppm in (7.5, None):
        lines = sequence(slices_hz=slices_hz).resonances(METABOLITES[name], edit_ppm=edit_ppm)
        low = lines.within(0.0, 5.0)
        phase = np.outer(times, (low.shift_ppm - 3.0) * JUPITER_MHZ)
        signals.append(np.exp(2j * np.pi * phase) @ low.amplitude)
    assert np.abs(signals[0] - signals[1]).max() < 0.01 * METABOLITES[name].protons


def test_the_first_echo_does_not_matter_for_weak_coupling():
    """Ideal refocusing of an AX pair depends on TE alone, not on its parts."""
    areas = [
        sequence(mhz=3e4, first_s=first_s, editing=None)
        .resonances(pair(7.0, 3.0, 1.9), edit_ppm=None)
        .within(2.9, 3.1)
        .area
        for first_s in (0.008, 0.02, 0.036)
    ]
    np.testing.assert_allclose(areas, areas[0], atol=1e-3)


def brute_force(group, *, edit_ppm, gaps, pulse, mhz):
    """FID of MEGA-PRESS by Pauli matrices, matrix exponentials and phase cycles.

    Neither operators, pulses nor coherence masks of the product are used: crushers are replaced
    by cycling the phase of each pulse.
    """
    spins = len(group.shift_ppm)
    pauli = {
        "x": np.array([[0, 1], [1, 0]]) / 2,
        "y": np.array([[0, -1j], [1j, 0]]) / 2,
        "z": np.array([[1, 0], [0, -1]]) / 2,
    }

    def spin(axis, k):
        return reduce(np.kron, [pauli[axis] if m == k else np.eye(2) for m in range(spins)])

    x, y, z = (sum(spin(axis, k) for k in range(spins)) for axis in "xyz")
    static = sum(
        2 * np.pi * (shift - 3.0) * mhz * spin("z", k) for k, shift in enumerate(group.shift_ppm)
    )
    for (one, other), j in group.coupling_hz.items():
        static = static + 2 * np.pi * j * sum(spin(a, one) @ spin(a, other) for a in "xyz")

    steps = 200
    position = (np.arange(steps) + 0.5) / steps * 2 - 1
    shape = np.exp(np.log(0.01) * position**2)
    angle = np.pi * shape / shape.sum()
    step_s = pulse.duration_s / steps
    offset = 2 * np.pi * (3.0 - edit_ppm) * mhz
    train = np.eye(2**spins, dtype=complex)
    for a in angle:
        train = expm(-1j * ((static + offset * z) * step_s + a * x)) @ train
    back = expm(0.5j * offset * z * pulse.duration_s)
    edit = back @ train @ back
    flip = expm(-1j * np.pi * x)

    def cycled(density, propagator, change, phases):
        """Keep what changes its coherence order by `change`."""
        kept = np.zeros_like(density)
        for phase in 2 * np.pi * np.arange(phases) / phases:
            turn = expm(-1j * phase * z)
            u = turn @ propagator @ turn.conj().T
            kept += np.exp(1j * phase * change) * u @ density @ u.conj().T
        return kept / phases

    def free(density, duration_s):
        u = expm(-1j * static * duration_s)
        return u @ density @ u.conj().T

    phases = 2 * spins + 1
    density = x - 1j * y
    changes = ((flip, 2), (edit, 0), (flip, -2), (edit, 0))
    for gap, (propagator, change) in zip(gaps, changes, strict=False):
        density = cycled(free(density, gap), propagator, change, phases)
    density = free(density, gaps[-1])
    step = expm(-1j * static * 0.004)
    fid = []
    for _ in range(40):
        fid.append(np.trace((x + 1j * y) @ density) / 2 ** (spins - 1))
        density = step @ density @ step.conj().T
    return np.array(fid)


@pytest.mark.parametrize(("name", "group"), [("Asp", 0), ("NAAG", 1), ("Tau", 0), ("NAA", 1)])
def test_the_fid_is_that_of_a_brute_force_simulation(name, group):
    """Pauli matrices, matrix exponentials and phase cycling give the same signal to 0.5 %."""
    spins = METABOLITES[name].groups[group]
    system = SpinSystem(name=name, groups=(spins,), source="")
    # 14 ms editing pulses in the middle of the last 30 ms, TE/2 apart
    gaps = (0.006, 0.008, 0.014, 0.008, 0.008)
    expected = brute_force(spins, edit_ppm=1.9, gaps=gaps, pulse=GAUSS_14, mhz=JUPITER_MHZ)
    lines = sequence().resonances(system, edit_ppm=1.9)
    times = 0.004 * np.arange(40)
    found = (
        np.exp(2j * np.pi * JUPITER_MHZ * np.outer(times, lines.shift_ppm - 3.0)) @ lines.amplitude
    )
    assert np.abs(found - expected).max() < 0.005 * np.abs(expected).max()


def test_directions_one_after_the_other_are_the_same_as_all_at_once():
    """The mean over one slice before the next pulse equals a double sum over the voxel."""
    width_hz, offsets = 1360.0, np.arange(-2000.0, 2001.0, 250.0)
    test = sequence(slices_hz=width_hz, editing=None)
    shifts = np.array([3.0, 1.9])
    static = hamiltonian((shifts - 3.0) * JUPITER_MHZ, np.array([[0, 7.3], [7.3, 0]]))
    order = coherence_order(2)
    pulses = shaped_propagators(test.refocusing, static, offsets)
    gap = expm(-1j * static * 0.03)
    start = lowering(2).astype(complex)

    def step(density, u, kept):
        turned = u @ gap @ density @ gap.conj().T @ u.conj().T
        return np.where(order == kept, turned, 0)

    one_by_one = sum(step(start, u, 1) for u in pulses)
    one_by_one = sum(step(one_by_one, u, -1) for u in pulses)
    together = sum(step(step(start, u, 1), v, -1) for u, v in product(pulses, pulses))
    np.testing.assert_allclose(one_by_one, together, atol=1e-9)


def test_positions_are_many_enough(monkeypatch):
    """Three times the positions and half as much room change areas by less than 0.3 %."""
    test = sequence(slices_hz=1360.0)
    before = edited(test, "Glu", 3.6, 3.9), edited(test, "Tau", 3.1, 3.5)
    monkeypatch.setattr(megapress, "_POSITIONS_PER_WIDTH", 48)
    monkeypatch.setattr(megapress, "_RANGE_WIDTHS", 1.75)
    after = edited(test, "Glu", 3.6, 3.9), edited(test, "Tau", 3.1, 3.5)
    np.testing.assert_allclose(before, after, rtol=3e-3, atol=3e-3)


def test_wide_slices_have_no_displacement():
    """What is left of the dependence on the slice width goes with the displacement.

    The edges of the slices stay, where flip angles are wrong however wide the slice is: coupled
    spins lose there what uncoupled ones keep.
    """
    narrow, wide, wider = (
        edited(sequence(slices_hz=width), "Glu", 3.6, 3.9) for width in (1360.0, 3.0e4, 6.0e4)
    )
    ideal = edited(sequence(), "Glu", 3.6, 3.9)
    assert wider == pytest.approx(wide, rel=0.01)
    assert narrow < 0.85 * wide < 0.85 * ideal


def test_gaba_is_edited_as_well_as_others_have_found():
    """Half of ON minus OFF at 3.0 ppm: 0.48 with ideal slices, about 0.43 with 1360 Hz."""
    ideal = edited(sequence(), "GABA", 2.8, 3.2) / 4
    sliced = edited(sequence(slices_hz=1360.0), "GABA", 2.8, 3.2) / 4
    assert ideal == pytest.approx(0.48, abs=0.015)
    assert sliced == pytest.approx(0.43, abs=0.03)


SIMULATED_ELSEWHERE = [
    # frequency, TE, pulse, GABA+/Cr, Glx/Cr of another simulation of the same tissue
    (JUPITER_MHZ, 0.072, GAUSS_14, 0.169, 0.216),
    (JUPITER_MHZ, 0.072, SINC_GAUSS_14, 0.178, 0.233),
    (JUPITER_MHZ, 0.072, GAUSS_17, 0.153, 0.184),
    (PHILIPS_MHZ, 0.068, SINC_GAUSS_14, 0.233, 0.260),
    (PHILIPS_MHZ, 0.068, GAUSS_20, 0.219, 0.219),
]


@pytest.mark.parametrize(("mhz", "echo_s", "pulse", "gaba_cr", "glx_cr"), SIMULATED_ELSEWHERE)
def test_areas_are_those_of_another_simulation(mhz, echo_s, pulse, gaba_cr, glx_cr):
    """Glx/Cr of ordinary tissue within 6 %, and GABA+ leaves 40 to 65 % for macromolecules."""
    test = sequence(mhz=mhz, echo_s=echo_s, editing=pulse, slices_hz=1360.0)
    creatine = 8.5 * test.resonances(METABOLITES["Cr"], edit_ppm=7.5).within(2.9, 3.1).area
    glx = 9.0 * edited(test, "Glu", 3.6, 3.9) + 3.0 * edited(test, "Gln", 3.6, 3.9)
    assert glx / creatine == pytest.approx(glx_cr, rel=0.06)
    gaba = 1.4 * edited(test, "GABA", 2.8, 3.2) / creatine
    assert 0.35 < gaba / gaba_cr < 0.6


def test_the_amide_of_glutamine_does_not_reach_the_fit():
    """Two singlets above 6 ppm: without them all below 5 ppm stays as it is."""
    gln = METABOLITES["Gln"]
    chain = SpinSystem(name="Gln", groups=gln.groups[:1], source="")
    for edit_ppm in (1.9, 7.5):
        whole = sequence().resonances(gln, edit_ppm=edit_ppm).within(0.0, 5.0)
        alone = sequence().resonances(chain, edit_ppm=edit_ppm).within(0.0, 5.0)
        assert whole.area == pytest.approx(alone.area, abs=2e-3)


def test_inversion_of_the_naa_methyl_is_what_the_difference_shows():
    """NAA at 2.008 ppm survives ON with the product of two shares that are not inverted."""
    test = sequence()
    flipped = inversion(GAUSS_14, np.array([(2.008 - 1.9) * JUPITER_MHZ]))[0]
    left = test.resonances(METABOLITES["NAA"], edit_ppm=1.9).within(2.0, 2.02).area
    # each editing pulse passes the amplitude a² of U = [[a, b], [-b*, a*]]
    assert abs(left) == pytest.approx(3.0 * (1.0 - flipped) ** 2, abs=1e-3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"echo_s": 0.03}, "lacks"),
        ({"editing": Pulse(shape=PulseShape.GAUSS, duration_s=0.04)}, "lacks"),
        ({"first_s": 0.002, "slices_hz": 1360.0}, "lacks"),
        ({"first_s": 0.09}, "lacks"),
        ({"mhz": 0.0}, "frequency is 0"),
        ({"mhz": float("nan")}, "frequency is nan"),
        ({"echo_s": float("nan")}, "echo time of nan"),
        ({"slices_hz": 0.0}, "slice bandwidth"),
    ],
)
def test_what_cannot_be_played_out_is_refused(wrong, message):
    """Pulses that overlap and values that are none are refused, never simulated."""
    with pytest.raises(InputError, match=message):
        sequence(**wrong)
