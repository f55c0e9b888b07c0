"""The command that makes a basis of the MEGA-PRESS fit."""

from pathlib import Path
from typing import Annotated

import typer

from cestle.cli.options import require_one_of
from cestle.cli.progress import steps
from cestle.errors import InputError

_PULSES = ("gauss", "sinc-gauss")
_LOCALISATIONS = ("slices", "ideal")


def simulate_basis(
    frequency_mhz: Annotated[
        float,
        typer.Option(
            "--frequency-mhz",
            help="Transmitter frequency of the header, never computed from the field.",
            min=20.0,
            max=1000.0,
        ),
    ],
    echo_time_ms: Annotated[
        float, typer.Option("--echo-time-ms", help="TE of the header.", min=10.0, max=500.0)
    ],
    out: Annotated[Path, typer.Option("--out", help="The basis file to write (YAML).")],
    first_echo_ms: Annotated[
        float,
        typer.Option(
            "--first-echo-ms",
            help="Twice the time from the excitation to the first refocusing pulse.",
            min=0.0,
        ),
    ] = 12.0,
    edit_on_ppm: Annotated[
        float, typer.Option("--edit-on-ppm", help="Centre of the editing pulse, ON.")
    ] = 1.9,
    edit_off_ppm: Annotated[
        float, typer.Option("--edit-off-ppm", help="Centre of the editing pulse, OFF.")
    ] = 7.5,
    pulse: Annotated[
        str, typer.Option("--pulse", help=f"Shape of the editing pulse: {', '.join(_PULSES)}.")
    ] = "gauss",
    pulse_ms: Annotated[
        float, typer.Option("--pulse-ms", help="Duration of the editing pulse.", min=1.0, max=100.0)
    ] = 14.0,
    localisation: Annotated[
        str,
        typer.Option(
            "--localisation",
            help="slices: refocusing slices with their displacement; ideal: none.",
        ),
    ] = "slices",
    slice_hz: Annotated[
        float,
        typer.Option(
            "--slice-hz", help="Bandwidth of the refocusing pulses.", min=200.0, max=2.0e4
        ),
    ] = 1360.0,
    name: Annotated[
        str, typer.Option("--name", help="Name of the basis in reports; that of the file if none.")
    ] = "",
    preference: Annotated[
        int,
        typer.Option(
            "--preference", help="Place among the bases that fit; the lowest is taken.", min=0
        ),
    ] = 0,
) -> int:
    """Simulate the MEGA-PRESS basis of one frequency, echo time and editing pulse.

    Put the file into the folder basis/ of the site's templates; the fit then finds it by the
    frequency and echo time of the header.
    """
    from cestle.config.basis import basis_text
    from cestle.service.basis_making import BasisRecipe, EditingShape, Localisation, make_basis

    require_one_of("--pulse", pulse, _PULSES)
    require_one_of("--localisation", localisation, _LOCALISATIONS)
    if out.exists():
        raise InputError(f"{out} exists; name a new file, so that no basis is lost.")
    if not out.parent.is_dir():
        raise InputError(f"{out.parent} is no folder; make it first or name another file.")
    recipe = BasisRecipe(
        id=name or out.stem,
        preference=preference,
        frequency_mhz=frequency_mhz,
        echo_time_ms=echo_time_ms,
        first_echo_ms=first_echo_ms,
        edit_on_ppm=edit_on_ppm,
        edit_off_ppm=edit_off_ppm,
        pulse=EditingShape(pulse),
        pulse_ms=pulse_ms,
        localisation=Localisation(localisation),
        slice_width_hz=slice_hz,
    )
    with steps() as progress:
        file = make_basis(recipe, progress)
    out.write_text(basis_text(file), encoding="utf-8")
    basis = file.basis()
    gaba = basis.on["GABA"].within(2.8, 3.2).area - basis.off["GABA"].within(2.8, 3.2).area
    typer.echo(f"{out}: {file.id}; GABA at 3.0 ppm, ON minus OFF: {gaba:.3f} protons")
    return 0
