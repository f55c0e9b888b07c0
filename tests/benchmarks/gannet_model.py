"""Prepared spectra quantified by the model of Gannet, run by Octave (`gannet_model.m`)."""

import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import savemat

SCRIPT = Path(__file__).with_suffix(".m")
PROGRAM = "octave-cli"
MISSING = "octave is not installed: apt-get install octave"

# Gannet puts creatine at 3.02 ppm, prepared spectra have it at 3.027 ppm
CREATINE_SHIFT_PPM = 3.02 - 3.027


@dataclass(frozen=True, kw_only=True)
class GannetFit:
    """What the model finds; NaN where it found no peak.

    Parameters
    ----------
    gaba, glx
        Areas of GABA+ and Glx in the half difference, (ON − OFF) / 2 [a.u.].
    creatine
        Area of creatine in OFF [a.u.].
    creatine_fwhm_hz, gaba_fwhm_hz
        Widths, the line broadening of 3 Hz included [Hz].
    """

    gaba: float
    glx: float
    creatine: float
    creatine_fwhm_hz: float
    gaba_fwhm_hz: float

    @property
    def gaba_cr_half(self):
        """GABA+/Cr as Gannet reports it."""
        return self.gaba / self.creatine

    @property
    def glx_cr_half(self):
        """Glx/Cr as Gannet reports it."""
        return self.glx / self.creatine


def available():
    """Whether Octave can be run."""
    return shutil.which(PROGRAM) is not None


def fit_all(measurements):
    """Fit each of several `EditedSpectra` of equally many points in one run of Octave."""
    protocols = [one.protocol for one in measurements]
    transmitters = [one.transmitter_ppm + CREATINE_SHIFT_PPM for one in protocols]
    content = {
        "on": np.stack([one.on for one in measurements]),
        "off": np.stack([one.off for one in measurements]),
        "dwell_s": np.array([one.dwell_s for one in protocols]),
        "frequency_mhz": np.array([one.frequency_mhz for one in protocols]),
        "transmitter_ppm": np.array(transmitters),
    }
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "measurements.mat"), Path(folder, "areas.csv")
        savemat(source, content)
        command = [PROGRAM, "--no-init-file", "--quiet", str(SCRIPT), str(source), str(result)]
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
        rows = np.loadtxt(result, delimiter=",", ndmin=2)
    return [
        GannetFit(
            gaba=gaba, glx=glx, creatine=creatine, creatine_fwhm_hz=width, gaba_fwhm_hz=gaba_width
        )
        for gaba, glx, creatine, width, gaba_width in rows.tolist()
    ]
