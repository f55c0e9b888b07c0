"""The whole loop on this machine: simulated scanner, node, PACS stand-in."""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cestle.config.basis import shipped_bases
from cestle.config.node import (
    Destination,
    NodeConfig,
    NodeSection,
    Peer,
    load_node_config,
)
from cestle.config.reporting import load_template_set
from cestle.config.templates import TemplateFolder
from cestle.dicom.report_reader import ReturnedReport, read_report
from cestle.dicom.simulated import EncodingOptions, SpectroscopyForm, as_stored, write_study
from cestle.errors import CestleError, DeliveryError, InputError
from cestle.mrs.basis import MegaBasis
from cestle.net.instances import describe_file
from cestle.net.pacs_stand_in import PacsStandIn
from cestle.net.sender import echo, send_instances
from cestle.phantom.mega_cases import USUAL_BASIS
from cestle.phantom.mega_settings import MegaSimulation
from cestle.phantom.megapress import simulate_mega
from cestle.phantom.study import SimulationSettings, simulate
from cestle.service.layout import DataFolder

_QUIET_SECONDS: Final = 2.0
_PATIENCE_SECONDS: Final = 120.0
_ALLOWED_ERRORS: Final = 4.0
"""Standard errors that an index may be away from the truth."""
_MODEL_ERROR: Final = 0.008
"""Error of the method without noise, where the B1 calibration is only a model."""
_STUDY: Final = SimulationSettings(seed=1, snr=100.0)
_MEGA: Final = MegaSimulation(seed=1, drift_hz=4.0, moved=4)
_MEGA_FORM: Final = SpectroscopyForm.FRAMES
"""One frame for each transient, so that drift and rejection are seen."""
_INDEX_CODES: Final = {"dai_glu_h_epi": "DAI hippocampus", "dai_glu_a_epi": "DAI amygdala"}
_RATIO_CODES: Final = {"gaba_cr": "GABA+/Cr", "glx_cr": "Glx/Cr"}

Progress = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One number as it was put in and as the report in the PACS states it."""

    name: str
    truth: float
    measured: float | None
    standard_error: float | None

    @property
    def agrees(self) -> bool:
        """Whether measured and truth agree within noise and the error of the method."""
        if self.measured is None or self.standard_error is None:
            return False
        allowed = _ALLOWED_ERRORS * self.standard_error + _MODEL_ERROR
        return abs(self.measured - self.truth) <= allowed


@dataclass(frozen=True, kw_only=True)
class DemoOutcome:
    """What came back.

    Parameters
    ----------
    comparisons
        Truth beside what the report in the PACS says.
    expected_call, call
        The call that the truth asks for, and that of the report.
    objects
        Objects that came back, and how many the node made.
    seconds
        From the last image sent to the last object received.
    """

    comparisons: tuple[Comparison, ...]
    expected_call: str
    call: str | None
    objects: tuple[int, int]
    seconds: float

    @property
    def agrees(self) -> bool:
        """Whether every object came back and the numbers agree."""
        whole = self.objects[0] == self.objects[1] > 0
        numbers = all(one.agrees for one in self.comparisons)
        return whole and numbers and self.call == self.expected_call


def run_demo(out: Path, progress: Progress) -> DemoOutcome:
    """Run the loop and leave study, returned objects and pictures in `out`.

    Parameters
    ----------
    out
        Folder of the demo; an earlier demo in it is replaced.
    progress
        Told of each step.

    Raises
    ------
    InputError
        When `out` holds something that is not an earlier demo.
    CestleError
        When the node does not start or nothing comes back in time.
    """
    _prepare(out)
    progress("computing a synthetic 5T study")
    study, mega = simulate(_STUDY), simulate_mega(as_stored(_MEGA, _MEGA_FORM), _basis())
    encoding = EncodingOptions(spectroscopy=_MEGA_FORM)
    files = write_study(study, out / "study", encoding=encoding, mega=mega)
    progress("starting the PACS stand-in and the node")
    with PacsStandIn(out / "pacs") as pacs:
        config_file = out / "node.toml"
        config_file.write_text(_configuration(_free_port(), pacs.port), encoding="utf-8")
        config = load_node_config(config_file)
        with _running_node(config_file, config, out / "node.log") as alive:
            progress(f"sending {len(files)} objects as the scanner would")
            _send(files, config)
            sent = time.monotonic()
            progress("waiting for the results in the PACS")
            made, place = _wait(config, pacs, alive)
            seconds = time.monotonic() - sent
        progress("comparing what came back with the truth")
        returned = _keep_returned(made, pacs, out / "dicom")
    shutil.copytree(place / "pictures", out / "pictures")
    shutil.copy(place / "results.json", out)
    truth = {**study.truth, "mrs": mega.truth.to_json()}
    return _outcome(truth, made, returned, seconds)


def _basis() -> MegaBasis:
    """The basis that the spectra are made of."""
    bases = {basis.settings.name: basis for basis in shipped_bases(TemplateFolder.default())}
    return bases[USUAL_BASIS]


def _prepare(out: Path) -> None:
    if out.exists() and any(out.iterdir()) and not (out / "node.toml").is_file():
        raise InputError(
            f"{out} is not empty and holds no earlier demo; name a new folder with --out."
        )
    for name in ("study", "pacs", "data", "dicom", "pictures"):
        shutil.rmtree(out / name, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _configuration(node_port: int, pacs_port: int) -> str:
    return f"""# The node of the demonstration: loopback only.
[node]
port = {node_port}
data_dir = "data"
disk_reserve_gb = 0.1

[[peers]]
ae_title = "SCANNER"
hosts = ["127.0.0.1"]

[[destinations]]
name = "pacs"
ae_title = "PACS"
host = "127.0.0.1"
port = {pacs_port}

[study]
quiet_seconds = {_QUIET_SECONDS}
"""


@contextmanager
def _running_node(config_file: Path, config: NodeConfig, log: Path) -> Iterator[Callable[[], bool]]:
    """The node as a process of its own; yields a function that tells whether it runs."""
    command = [sys.executable, "-m", "cestle", "serve", "--config", str(config_file)]
    with log.open("wb") as stream:
        node = subprocess.Popen(command, stdout=stream, stderr=stream)  # noqa: S603 our own command

        def alive() -> bool:
            return node.poll() is None

        try:
            _wait_until_it_answers(config, alive, log)
            yield alive
        finally:
            node.terminate()
            try:
                node.wait(timeout=20.0)
            except subprocess.TimeoutExpired:
                node.kill()
                node.wait()


def scanner_side(config: NodeConfig) -> tuple[Destination, NodeConfig]:
    """The node as seen from the scanner, and the scanner's own side of the association."""
    node = Destination(
        name="node",
        ae_title=config.node.ae_title,
        host=config.node.host,
        port=config.node.port,
    )
    peer = Peer(ae_title=config.node.ae_title, hosts=("127.0.0.1",))
    own = NodeConfig(node=NodeSection(ae_title="SCANNER"), peers=(peer,), destinations=(node,))
    return node, own


def _wait_until_it_answers(config: NodeConfig, alive: Callable[[], bool], log: Path) -> None:
    node, scanner = scanner_side(config)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while alive() and time.monotonic() < deadline:
        try:
            echo(node, scanner)
        except DeliveryError:
            time.sleep(0.1)
        else:
            return
    raise CestleError(f"the node did not start; its log is {log}")


def _send(files: list[Path], config: NodeConfig) -> None:
    node, scanner = scanner_side(config)
    instances = [describe_file(file) for file in files]
    send_instances(instances, node, scanner, acknowledged=lambda _: None)


def _wait(
    config: NodeConfig, pacs: PacsStandIn, alive: Callable[[], bool]
) -> tuple[dict[str, Any], Path]:
    """The results of the node once all its objects are in the PACS, and their folder."""
    results_dir = DataFolder.of(config).results
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while alive() and time.monotonic() < deadline:
        for file in results_dir.glob("*/r1/results.json"):
            results = json.loads(file.read_text(encoding="utf-8"))
            made = {record["sop_instance_uid"] for record in results["outputs"]}
            if made <= set(pacs.arrivals):
                return results, file.parent
        time.sleep(0.05)
    raise CestleError(
        f"nothing complete came back within {_PATIENCE_SECONDS:.0f} s; see node.log and "
        "cestle status --config node.toml in the folder of the demo"
    )


def _keep_returned(made: dict[str, Any], pacs: PacsStandIn, folder: Path) -> list[tuple[str, Path]]:
    """Copy what the PACS holds under the names of the outputs; product and file of each."""
    folder.mkdir()
    held = {describe_file(file).sop_instance_uid: file for file in pacs.files()}
    returned = []
    for record in made["outputs"]:
        source = held.get(record["sop_instance_uid"])
        if source is not None:
            target = folder / Path(record["path"]).name
            shutil.copy(source, target)
            returned.append((record["product"], target))
    return returned


def _outcome(
    truth: dict[str, Any], made: dict[str, Any], returned: list[tuple[str, Path]], seconds: float
) -> DemoOutcome:
    codes = load_template_set(TemplateFolder.default()).codes
    report = ReturnedReport(sop_instance_uid="", numbers={}, call=None)
    for product, file in returned:
        if product == "report":
            report = read_report(file, codes)
    wanted = [
        (name, key, truth["asymmetry"]["slice"][key], made["asymmetry"][key])
        for key, name in _INDEX_CODES.items()
    ]
    wanted += [
        (name, key, truth["mrs"][key], made["mrs"][key]) for key, name in _RATIO_CODES.items()
    ]
    comparisons = tuple(
        Comparison(
            name=name,
            truth=true_value,
            measured=report.numbers.get(codes.get(key).value),
            standard_error=(estimate or {}).get("standard_error"),
        )
        for name, key, true_value, estimate in wanted
    )
    rule = made["lateralization"]
    above = truth["asymmetry"]["slice"]["dai_glu_h_epi"] > rule["cutoff"]
    return DemoOutcome(
        comparisons=comparisons,
        expected_call="Left" if above else "Right",
        call=report.call,
        objects=(len(returned), len(made["outputs"])),
        seconds=seconds,
    )
