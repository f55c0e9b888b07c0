"""The command that makes a synthetic study."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cestle.cli.options import require_one_of
from cestle.cli.progress import steps
from cestle.errors import InputError
from cestle.measurement import Side

if TYPE_CHECKING:
    from cestle.mrs.basis import MegaBasis

_ENCODINGS = ("uih", "frames", "instances", "philips")
_USUAL_BASIS = "mega_press_5t_te72_gauss14_slices"


def simulate(
    out: Annotated[Path, typer.Option("--out", help="Folder for the study and truth.json.")],
    dai_hippocampus: Annotated[
        float, typer.Option(help="True (L-R)/(L+R) of hippocampal GluCEST.", min=-0.5, max=0.5)
    ] = 0.06,
    dai_amygdala: Annotated[
        float, typer.Option(help="True (L-R)/(L+R) of amygdalar GluCEST.", min=-0.5, max=0.5)
    ] = 0.03,
    snr: Annotated[
        float | None,
        typer.Option(help="S(-3 ppm) in the regions over noise; without it no noise.", min=1.0),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of fields and noise.", min=0)] = 1,
    slices: Annotated[int, typer.Option(help="CEST slices; 1 is the 2D protocol.", min=1)] = 1,
    b1_spread: Annotated[
        float, typer.Option(help="Relative B1 runs from 1 - this to 1 + this.", min=0.0, max=0.5)
    ] = 0.1,
    regions: Annotated[
        bool,
        typer.Option("--regions/--no-regions", help="With a segmentation on the T1, or not."),
    ] = True,
    mrs: Annotated[
        bool, typer.Option("--mrs/--no-mrs", help="With MEGA-PRESS of one hippocampus, or not.")
    ] = True,
    mrs_encoding: Annotated[
        str, typer.Option(help=f"How MEGA-PRESS is stored: {', '.join(_ENCODINGS)}.")
    ] = "uih",
    mrs_side: Annotated[Side, typer.Option(help="Hippocampus in the voxel.")] = Side.LEFT,
    gaba_cr: Annotated[
        float, typer.Option(help="True GABA+/Cr, area of ON - OFF.", min=0.0, max=2.0)
    ] = 0.18,
    glx_cr: Annotated[
        float, typer.Option(help="True Glx/Cr, area of ON - OFF.", min=0.0, max=2.0)
    ] = 0.24,
    mrs_transients: Annotated[
        int, typer.Option(help="Transients, ON and OFF together.", min=2)
    ] = 160,
    mrs_snr: Annotated[
        float, typer.Option(help="Height of creatine in mean OFF over noise.", min=1.0)
    ] = 250.0,
    mrs_linewidth: Annotated[
        float, typer.Option(help="Width of the creatine line without drift [Hz].", min=1.0)
    ] = 7.0,
    mrs_drift: Annotated[
        float, typer.Option(help="Drift over the acquisition [Hz].", min=-100.0, max=100.0)
    ] = 0.0,
    mrs_moved: Annotated[int, typer.Option(help="Transients that motion spoils.", min=0)] = 0,
    mrs_lipid: Annotated[
        float, typer.Option(help="Lipid at 1.3 ppm over creatine, areas.", min=0.0)
    ] = 0.1,
    mrs_water: Annotated[
        bool, typer.Option("--mrs-water/--no-mrs-water", help="With unsuppressed water, or not.")
    ] = True,
    mrs_basis: Annotated[
        str, typer.Option(help="Basis that the metabolites come from.")
    ] = _USUAL_BASIS,
) -> int:
    """Write a synthetic 5T study with known truth, in the reference encoding."""
    from cestle.dicom.simulated import (
        EncodingOptions,
        RegionObject,
        SpectroscopyForm,
        as_stored,
        write_study,
    )
    from cestle.phantom.mega_settings import MegaSimulation
    from cestle.phantom.megapress import simulate_mega
    from cestle.phantom.study import SimulationSettings
    from cestle.phantom.study import simulate as simulate_study

    require_one_of("--mrs-encoding", mrs_encoding, _ENCODINGS)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; name a new folder, so that studies never mix.")
    study_settings = SimulationSettings(
        seed=seed,
        snr=snr,
        dai_hippocampus=dai_hippocampus,
        dai_amygdala=dai_amygdala,
        slices=slices,
        b1_spread=b1_spread,
    )
    form = SpectroscopyForm(mrs_encoding)
    mega_settings = MegaSimulation(
        seed=seed,
        side=mrs_side,
        gaba_cr=gaba_cr,
        glx_cr=glx_cr,
        transients=mrs_transients,
        tcr_snr=mrs_snr,
        fwhm_hz=mrs_linewidth,
        drift_hz=mrs_drift,
        moved=mrs_moved,
        lipid=mrs_lipid,
        water_transients=2 if mrs_water else 0,
    )
    with steps() as progress:
        mega = None
        if mrs:
            progress("computing the spectra")
            basis = _basis(mrs_basis, frequency_mhz=study_settings.f0_mhz)
            mega = simulate_mega(as_stored(mega_settings, form), basis)
        progress("computing the phantom")
        study = simulate_study(study_settings)
        progress("writing the DICOM files")
        drawn = (RegionObject.SEG_ON_T1,) if regions else ()
        encoding = EncodingOptions(spectroscopy=form, regions=drawn)
        files = write_study(study, out, encoding=encoding, mega=mega)
    typer.echo(f"{len(files)} files in {out}, truth in {out / 'truth.json'}")
    return 0


def _basis(name: str, *, frequency_mhz: float) -> "MegaBasis":
    """The basis of that name, which must be of the scanner of the images."""
    from cestle.config.basis import shipped_bases
    from cestle.config.templates import TemplateFolder
    from cestle.mrs.basis import FREQUENCY_TOLERANCE

    known = {
        basis.settings.name: basis
        for basis in shipped_bases(TemplateFolder.default())
        if abs(basis.settings.frequency_mhz / frequency_mhz - 1.0) <= FREQUENCY_TOLERANCE
    }
    require_one_of("--mrs-basis", name, tuple(known))
    return known[name]
