"""MEGA-PRESS measurements written down by hand, to see what is made of their numbers.

Nothing here is fitted: values, gates and curves are what a test states, so that pictures and
reports are held against statements and not against the program's own analysis.
"""

from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from cestle.gates import Gate, Limits
from cestle.measurement import Estimate
from cestle.mrs.result import FitCurves, MegaAnalysis, MegaResult, ModelSpread
from cestle.mrs.series import (
    EditedSpectra,
    EditState,
    MegaProtocol,
    MegaSeries,
    PreparedMega,
    TransientReport,
    Voxel,
)
from cestle.study.inputs import ScalarImage
from phantoms import analysis_builder as build

LEFT_MM = np.array([27.0, 12.0, -20.0])
RIGHT_MM = LEFT_MM * np.array([-1.0, 1.0, 1.0])
PPM = np.linspace(0.4, 4.2, 1200)
PROTOCOL = MegaProtocol(
    frequency_mhz=212.9,
    dwell_s=5e-4,
    transmitter_ppm=4.7,
    echo_time_ms=72.0,
    repetition_time_ms=3000.0,
    edit_on_ppm=1.9,
    edit_off_ppm=7.5,
    sequence_name="svs_mega",
    manufacturer="UIH",
    model="uMR Jupiter",
    software="R001",
)


def voxel(centre_mm=LEFT_MM, tilt_degrees=-27.0):
    """15 × 35 × 15 mm along the hippocampus: the long edge is tilted about the left-right axis."""
    angle = np.deg2rad(tilt_degrees)
    long = np.array([0.0, np.cos(angle), -np.sin(angle)])
    edges = np.array([[15.0, 0.0, 0.0], 35.0 * long, 15.0 * np.cross([1.0, 0.0, 0.0], long)])
    return Voxel(centre_mm=np.array(centre_mm), edges_mm=edges)


def series(centre_mm=LEFT_MM, **changes):
    """200 transients of noise: what is made of them is stated, not computed."""
    random = np.random.default_rng(3)
    fids = random.normal(size=(200, 1, 64)) + 1j * random.normal(size=(200, 1, 64))
    values = {
        "fids": fids,
        "labels": (None,) * 200,
        "averaged": False,
        "averages": 200,
        "water": fids[:1],
        "difference": None,
        "protocol": PROTOCOL,
        "voxel": None if centre_mm is None else voxel(centre_mm),
        "source": "UIH svs_mega, transients",
    }
    return MegaSeries(**(values | changes))


# Name, quantity, unit, warn, fail, higher is better, value of a good measurement.
_GATES = (
    ("water_fwhm", "width of the unsuppressed water peak", "Hz", 12.0, 14.0, False, 9.4),
    ("metabolite_fwhm", "width of the creatine peak in mean OFF", "Hz", 8.0, 10.0, False, 6.8),
    ("snr", "height of GABA+ over the noise of the difference", "1", 5.0, 3.0, True, 11.2),
    ("drift", "range of the registered frequency", "Hz", 5.0, 10.0, False, 3.1),
    ("transients_kept", "share of transients kept", "%", 85.0, 75.0, True, 97.0),
    ("subtraction_cho", "choline left in the difference", "%", 3.0, 5.0, False, 1.2),
    ("subtraction_cr", "creatine left in the difference", "%", 7.0, 10.0, False, 2.5),
    ("fit_crlb", "Cramér-Rao bound of GABA+", "%", 15.0, 20.0, False, 5.1),
    ("fit_residual", "residual at 2.8-3.2 ppm over noise", "1", 1.5, 2.0, False, 1.1),
    ("lineshape", "fitted width over its bound", "1", 0.9, 1.0, False, 0.4),
    ("plausible_gaba", "GABA+/Cr", "1", 0.4, None, False, 0.162),
    ("plausible_glx", "Glx/Cr", "1", 0.6, None, False, 0.221),
    ("naa_sign", "NAA of the difference is negative", "1", 0.5, None, True, 1.0),
    ("lipid", "magnitude at 1.0 to 1.6 ppm over creatine", "1", 0.3, 2.0, False, 0.1),
)


def gates(**values):
    """The gates of a good measurement, with other values by name."""
    return tuple(_gate(*row, values.get(row[0], row[-1])) for row in _GATES)


def _gate(name, quantity, unit, warn, fail, higher, _good, value):
    limits = Limits(
        quantity=quantity,
        unit=unit,
        warn=warn,
        fail=fail,
        higher_is_better=higher,
        action="shim again and repeat the spectroscopy",
    )
    if value is None:
        return Gate(name=name, scope="mrs", value=None, verdict=limits.verdict(warn), limits=limits)
    return Gate.held(name, "mrs", value, limits)


def result(**changes):
    """The numbers of a good measurement."""
    values = {
        "gaba_cr": Estimate(value=0.1623, standard_error=0.0094),
        "glx_cr": Estimate(value=0.2214, standard_error=0.0131),
        "glx_gaba": Estimate(value=0.2214 / 0.1623, standard_error=0.113),
        "crlb_percent": {"gaba_cr": 5.1, "glx_cr": 5.6},
        "model_spread": {
            "gaba_cr": ModelSpread(
                values={"default": 0.1623, "stiff": 0.151, "loose": 0.187, "peaks": 0.139}
            ),
            "glx_cr": ModelSpread(
                values={"default": 0.2214, "stiff": 0.214, "loose": 0.236, "peaks": 0.209}
            ),
        },
        "research": {
            "gaba_cr_half": Estimate(value=0.0812, standard_error=0.0047),
            "glx_cr_half": Estimate(value=0.1107, standard_error=0.0066),
            "gaba_cr_peaks": Estimate(value=0.139, standard_error=0.011),
            "glx_cr_peaks": Estimate(value=0.209, standard_error=0.015),
            "gaba_cr_paper": Estimate(value=0.144, standard_error=0.012),
            "glx_cr_paper": Estimate(value=0.205, standard_error=0.016),
            "gaba_tcr": Estimate(value=0.152, standard_error=0.012),
            "glx_tcr_off": Estimate(value=1.38, standard_error=0.06),
            "glu_tcr_off": Estimate(value=1.04, standard_error=0.05),
            "mm_fraction": None,
            "naa_snr": Estimate(value=61.0, standard_error=None),
            "tcr_snr": Estimate(value=48.0, standard_error=None),
        },
        "model": "linear combination 1, spline baseline 0.8 ppm, MM tied to 0.9 ppm",
        "basis": "mega_press_5t_te72_gauss14_slices 1",
        "gates": gates(),
        "transients_used": 194,
        "transients_rejected": 6,
        "notes": ("basis: chosen by likelihood among 4 pulse variants",),
    }
    return MegaResult(**(values | changes))


def _peaks(*peaks):
    """Lorentzian lines: position [ppm], height, width [Hz]."""
    lines = np.zeros_like(PPM)
    for position, height, width_hz in peaks:
        half = width_hz / 2.0 / PROTOCOL.frequency_mhz
        lines += height * half**2 / ((PPM - position) ** 2 + half**2)
    return lines


OFF_PARTS = {
    "NAA": ((2.008, 100.0, 7.0), (2.6, 9.0, 20.0), (2.5, 7.0, 20.0)),
    "tCr": ((3.027, 78.0, 7.0), (3.91, 48.0, 8.0)),
    "tCho": ((3.2, 42.0, 7.0),),
    "Glx": ((2.12, 12.0, 25.0), (2.34, 20.0, 16.0), (3.75, 18.0, 14.0)),
    "mIns": ((3.52, 26.0, 10.0), (3.61, 22.0, 10.0), (4.05, 9.0, 10.0)),
    "MM": ((0.91, 14.0, 40.0), (1.4, 9.0, 45.0), (1.68, 8.0, 50.0)),
}
DIFFERENCE_PARTS = {
    "GABA+": ((2.97, 7.2, 18.0), (3.04, 7.6, 18.0)),
    "Glx": ((3.72, 7.4, 11.0), (3.79, 7.0, 11.0), (2.3, 5.0, 18.0)),
    "NAA": ((2.008, -62.0, 8.0), (2.6, -3.0, 20.0)),
    "MM": ((0.91, 5.5, 40.0),),
}


def curves(parts, noise, baseline, seed=5):
    """Spectrum, fit and baseline from stated lines; the data are the fit with noise."""
    shapes = {name: _peaks(*peaks) for name, peaks in parts.items()}
    slow = baseline * (1.0 + 0.5 * np.cos(1.7 * PPM))
    fit = slow + sum(shapes.values())
    data = fit + np.random.default_rng(seed).normal(0.0, noise, PPM.shape)
    return FitCurves(ppm=PPM, data=data, fit=fit, baseline=slow, parts=shapes)


def prepared(rejected=(17, 18, 60, 61, 140, 141), drift_hz=3.1, averaged=False):
    """200 transients in turn ON and OFF which drift and of which some are rejected."""
    random = np.random.default_rng(9)
    reports = []
    for k in range(0 if averaged else 200):
        lost = k in rejected
        frequency = drift_hz * k / 199.0 + random.normal(0.0, 0.25) + 4.0 * lost
        reports.append(
            TransientReport(
                state=EditState.OFF if k % 2 else EditState.ON,
                frequency_hz=float(frequency),
                phase_deg=float(random.normal(0.0, 4.0)),
                rejected="residual of 7.1 MAD, at most 5 were expected" if lost else None,
            )
        )
    fid = np.zeros(64, dtype=np.complex128)
    spectra = EditedSpectra(
        on=fid,
        off=fid,
        transients_on=None,
        transients_off=None,
        weights_on=None,
        weights_off=None,
        pairs=None,
        protocol=PROTOCOL,
    )
    return PreparedMega(
        spectra=spectra,
        water=None,
        transients=tuple(reports),
        scanner_difference=None,
        decisions=("order: ON and OFF alternate, OFF second, found on NAA (confidence 1.00)",),
        notes=("eddy currents were corrected with the water signal",),
    )


def mega_analysis(*, noise=0.55, result_changes=None, **prepared_changes):
    """A measurement with its spectra, fits and numbers."""
    return MegaAnalysis(
        result=result(**(result_changes or {})),
        prepared=prepared(**prepared_changes),
        off=curves(OFF_PARTS, noise, 3.0),
        difference=curves(DIFFERENCE_PARTS, noise, 0.8, seed=6),
    )


def failed_analysis():
    """A measurement whose water peak is too wide and whose GABA+ is lost in noise."""
    poor = gates(water_fwhm=19.3, snr=2.1, drift=12.0)
    return mega_analysis(
        noise=3.0,
        result_changes={
            "gates": poor,
            "gaba_cr": Estimate(value=0.211, standard_error=0.061),
            "transients_used": 151,
            "transients_rejected": 49,
        },
        drift_hz=12.0,
        rejected=tuple(range(150, 199)),
    )


def averaged_analysis():
    """A measurement that arrived as averages: no transients, no drift, no water."""
    return mega_analysis(
        result_changes={
            "gates": gates(water_fwhm=None, drift=None, transients_kept=None),
            "transients_used": None,
            "transients_rejected": None,
        },
        averaged=True,
    )


def anatomy(frame_uid=build.FRAME_UID, spacing_mm=2.0):
    """A head with bright left ventricle-like blob: sagittal slices, as 3D T1 series are stored."""
    from cestle.geometry import Grid

    shape = (90, 120, 110)
    affine = np.eye(4)
    # Slices toward the patient's left, rows toward the feet, columns toward the back.
    affine[:3, 0] = (spacing_mm, 0.0, 0.0)
    affine[:3, 1] = (0.0, 0.0, -spacing_mm)
    affine[:3, 2] = (0.0, spacing_mm, 0.0)
    middle = (np.array(shape) - 1) / 2.0
    affine[:3, 3] = -affine[:3, :3] @ middle
    grid = Grid(
        shape=shape,
        affine=affine,
        frame_of_reference_uid=frame_uid,
        slice_thickness_mm=spacing_mm,
    )
    index = np.moveaxis(np.indices(shape), 0, -1).astype(float)
    x, y, z = np.moveaxis(grid.to_lps(index), -1, 0)
    head = (x / 72.0) ** 2 + (y / 92.0) ** 2 + (z / 100.0) ** 2 < 1.0
    brain = (x / 62.0) ** 2 + (y / 82.0) ** 2 + (z / 88.0) ** 2 < 1.0
    values = 300.0 * head + 400.0 * brain + 60.0 * brain * np.cos(x / 6.0) * np.cos(y / 7.0)
    for side in (-1.0, 1.0):
        tilt = 0.9 * (y - 12.0) + 0.45 * (z + 20.0)
        inside = ((x - side * 27.0) / 6.0) ** 2 + (tilt / 18.0) ** 2 + ((z + 20.0) / 8.0) ** 2
        values = np.where(inside < 1.0, 500.0, values)
    # A marker that exists at the patient's left only: the picture must not mirror it.
    marker = ((x - 45.0) / 6.0) ** 2 + ((y + 35.0) / 6.0) ** 2 + ((z + 20.0) / 8.0) ** 2
    values = np.where(marker < 1.0, 1100.0, values)
    return ScalarImage(values=values, grid=grid)


@contextmanager
def stated(measured):
    """While it lasts, the spectra of every study give this measurement, or raise it."""
    raised = isinstance(measured, Exception)
    effect = {"side_effect" if raised else "return_value": measured}
    with patch("cestle.study.spectroscopy.quantify_mega_press", **effect):
        yield


def analysis(measured=None, *, centre_mm=LEFT_MM, spectra=None, grid=None, **inputs):
    """A whole study with spectroscopy; other keywords as in `analysis_builder.analysis`."""
    with stated(measured or mega_analysis()):
        return build.analysis(grid, **({"mega": spectra or series(centre_mm)} | inputs))


def analysis_of_spectra_only(measured=None, **inputs):
    """A study that holds spectra and no CEST images."""
    missing = (("cest_source", "no CEST source series was found; send it"),)
    with stated(measured or mega_analysis()):
        return build.analysis(
            **(
                {
                    "saturation": None,
                    "fields": None,
                    "regions": (),
                    "missing": missing,
                    "mega": series(),
                }
                | inputs
            )
        )
