"""The commands, and how each fault becomes one line and an exit code.

Every command imports what it needs when it runs: `cestle --help` must answer at once.
"""

import os
import sys
import traceback
from collections.abc import Sequence

import typer

import cestle
from cestle.cli.again import reprocess, run_now
from cestle.cli.basis import simulate_basis
from cestle.cli.calibration import calibrate_b1, roi_calibrate
from cestle.cli.demonstration import demo
from cestle.cli.export import export
from cestle.cli.node import audit, check, destinations, echo, retry, serve, status
from cestle.cli.pulling import pull
from cestle.cli.simulation import simulate
from cestle.cli.study import inspect, learn, process
from cestle.errors import CestleError, ConfigError, InputError

EXIT_FAULT = 1
EXIT_BAD_INPUT = 2

app = typer.Typer(
    name="cestle",
    help="GluCEST maps, asymmetry indices and a report from 5T studies. Research use only.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.callback(invoke_without_command=True)
def _version(
    version: bool = typer.Option(False, "--version", help="Print the version and stop."),
) -> None:
    if version:
        typer.echo(f"cestle {cestle.__version__}")
        raise typer.Exit


app.command()(demo)
app.command()(serve)
app.command()(process)
app.command()(simulate)
app.command()(inspect)
app.command()(learn)
app.command("calibrate-b1")(calibrate_b1)
app.command("roi-calibrate")(roi_calibrate)
app.command("simulate-basis")(simulate_basis)
app.command()(status)
app.command()(reprocess)
app.command("run")(run_now)
app.command()(pull)
app.command()(retry)
app.command()(echo)
app.command()(destinations)
app.command()(check)
app.command()(audit)
app.command()(export)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code."""
    try:
        result = app(list(arguments), standalone_mode=False)
    except typer.TyperException as fault:
        return _usage(fault)
    except (typer.Abort, KeyboardInterrupt):
        _say("stopped")
        return 130
    except (ConfigError, InputError) as fault:
        _say(str(fault))
        return EXIT_BAD_INPUT
    except CestleError as fault:
        _say(str(fault))
        return EXIT_FAULT
    except BrokenPipeError:
        # the reader of our output has gone; nothing is left to be said to it
        sys.stdout = open(os.devnull, "w")  # noqa: PTH123, SIM115
        return EXIT_FAULT
    except Exception as fault:  # noqa: BLE001 the last line of defence: no traceback for a user
        if "CESTLE_TRACEBACK" in os.environ:
            traceback.print_exc()
        _say(
            f"a fault of cestle ({type(fault).__name__}); set CESTLE_TRACEBACK=1 and run again "
            "to see where, and please report it"
        )
        return EXIT_FAULT
    return result if isinstance(result, int) else 0


def _usage(fault: Exception) -> int:
    message = getattr(fault, "format_message", lambda: str(fault))()
    if "\n" in message:  # the help text that a bare `cestle` shows
        typer.echo(message)
    else:
        _say(f"{message} See cestle --help.")
    return int(getattr(fault, "exit_code", EXIT_BAD_INPUT))


def _say(message: str) -> None:
    typer.echo(f"cestle: {' '.join(message.split())}", err=True)
