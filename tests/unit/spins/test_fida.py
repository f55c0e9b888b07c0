"""The same sequence in FID-A, run by Octave.

Set CESTLE_FIDA to a folder of FID-A (https://github.com/CIC-methods/FID-A, BSD) and have octave on
the path. Shifts and couplings are ours, so that the simulators are compared, not their tables.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cestle.spins.megapress import MegaPress
from cestle.spins.pulses import Pulse, PulseShape
from cestle.spins.systems import METABOLITES, SpinGroup, SpinSystem

MHZ = 127.79
POINTS = 512
SPECTRAL_WIDTH_HZ = 1000.0
LINEWIDTH_HZ = 4.0
STEPS = 100

SCRIPT = """
addpath(genpath('{folder}'));
field = {mhz} / 42.577;
sys.name = 'test'; sys.scaleFactor = 1;
sys.shifts = [{shifts}]' - 3;
sys.J = [{couplings}];
[H, start] = sim_Hamiltonian(sys, field);
amplitude = [{amplitude}]';
steps = length(amplitude);
RF.waveform = [zeros(steps, 1), amplitude / max(amplitude), ones(steps, 1)];
RF.type = 'inv'; RF.f0 = 0; RF.isGM = false; RF.tbw = 1.5;
RF.tw1 = 0.5 / mean(amplitude / max(amplitude));
gaps = [{gaps}];
% the pulse stands on a shift when its offset cancels that shift
offset = -({edit_ppm} - 3) * field * 42.577;
total = 0;
for one = {first}
  for two = {second}
    % older versions start from equilibrium by themselves
    if nargin('sim_excite') >= 4
      d = sim_excite(start, H, 'x');
    else
      d = sim_excite(H, 'x');
    end
    d = sim_evolve(d, H, gaps(1));
    d = sim_rotate(d, H, 180, 'y');
    d = sim_evolve(d, H, gaps(2));
    if {editing}
      d = sim_shapedRF(d, H, RF, {edit_ms}, 180, 90 + one, offset);
    end
    d = sim_evolve(d, H, gaps(3));
    d = sim_rotate(d, H, 180, 'y');
    d = sim_evolve(d, H, gaps(4));
    if {editing}
      d = sim_shapedRF(d, H, RF, {edit_ms}, 180, 90 + two, offset);
    end
    d = sim_evolve(d, H, gaps(5));
    out = sim_readout(d, H, {points}, {width}, {linewidth}, 90);
    total = total + out.fids(:);
  end
end
total = total / (length({first}) * length({second}));
dlmwrite('{out}', [real(total), imag(total)], 'precision', 15);
"""


@pytest.fixture(scope="module")
def fida():
    folder = os.environ.get("CESTLE_FIDA")
    if folder is None or not (Path(folder) / "simulationTools").is_dir():
        pytest.skip("CESTLE_FIDA names no folder of FID-A")
    if shutil.which("octave") is None:
        pytest.skip("octave is not installed")
    return Path(folder).resolve()


def run_fida(folder, work, group, *, gaps, edit_ppm):
    """FID of a group of spins, shape (point,), in the convention of FID-A."""
    position = (np.arange(STEPS) + 0.5) / STEPS * 2 - 1
    # FID-A counts each coupling of a symmetric matrix twice
    upper = np.triu(group.coupling_matrix())
    editing = edit_ppm is not None
    script = SCRIPT.format(
        folder=folder,
        mhz=MHZ,
        shifts=" ".join(f"{shift:.6f}" for shift in group.shift_ppm),
        couplings="; ".join(" ".join(f"{j:.6f}" for j in row) for row in upper),
        amplitude=" ".join(f"{a:.9f}" for a in np.exp(np.log(0.01) * position**2)),
        gaps=" ".join(f"{gap:.9f}" for gap in gaps),
        edit_ppm=edit_ppm if editing else 0.0,
        editing=int(editing),
        edit_ms=20.0,
        first="[0 90]" if editing else "0",
        second="[0 90 180 270]" if editing else "0",
        points=POINTS,
        width=SPECTRAL_WIDTH_HZ,
        linewidth=LINEWIDTH_HZ,
        out=work / "fid.csv",
    )
    (work / "run.m").write_text(script, encoding="utf-8")
    subprocess.run(
        ["octave", "--no-gui", "--quiet", "--norc", str(work / "run.m")],
        check=True,
        cwd=work,
        capture_output=True,
        timeout=1200,
    )
    table = np.loadtxt(work / "fid.csv", delimiter=",")
    return table[:, 0] + 1j * table[:, 1]


def ours(system, *, editing, edit_ppm):
    sequence = MegaPress(
        frequency_mhz=MHZ, echo_time_s=0.068, first_echo_s=0.012, editing=editing, slices=None
    )
    lines = sequence.resonances(system, edit_ppm=edit_ppm)
    times = np.arange(POINTS) / SPECTRAL_WIDTH_HZ
    phase = np.outer(times, (lines.shift_ppm - 3.0) * MHZ)
    return np.exp(-np.pi * LINEWIDTH_HZ * times) * (np.exp(2j * np.pi * phase) @ lines.amplitude)


@pytest.mark.timeout(3000)
@pytest.mark.parametrize("name", ["Asp", "Lac", "Glu", "GABA"])
def test_fida_has_the_same_signal(fida, tmp_path, name):
    """ON and OFF agree with FID-A: correlation 0.999, size within 2 %."""
    editing = Pulse(shape=PulseShape.GAUSS, duration_s=0.020)
    # 20 ms pulses in the middle of the last 28 ms, half an echo apart
    gaps = (0.006, 0.004, 0.010, 0.004, 0.004)
    silent = (0.006, 0.014, 0.020, 0.014, 0.014)

    # a methyl line above the reference shows sign of frequency, phase and scale of FID-A
    singlet = SpinGroup(shift_ppm=(3.4,))
    alone = SpinSystem(name="singlet", groups=(singlet,), source="")
    theirs = run_fida(fida, tmp_path, singlet, gaps=silent, edit_ppm=None)
    mine = ours(alone, editing=None, edit_ppm=None)
    turn = np.angle(theirs[1] / theirs[0])
    mirrored = np.sign(turn) != np.sign(np.angle(mine[1] / mine[0]))
    theirs = theirs.conj() if mirrored else theirs
    scale = mine[0] / theirs[0]
    assert np.abs(scale * theirs - mine).max() < 0.02 * np.abs(mine).max()

    system = SpinSystem(name=name, groups=METABOLITES[name].groups[:1], source="")
    for edit_ppm in (1.9, 7.5):
        theirs = run_fida(fida, tmp_path, system.groups[0], gaps=gaps, edit_ppm=edit_ppm)
        theirs = scale * (theirs.conj() if mirrored else theirs)
        mine = ours(system, editing=editing, edit_ppm=edit_ppm)
        overlap = np.vdot(theirs, mine)
        size = np.linalg.norm(theirs) * np.linalg.norm(mine)
        assert overlap.real / size > 0.999
        assert np.linalg.norm(mine) == pytest.approx(np.linalg.norm(theirs), rel=0.02)
