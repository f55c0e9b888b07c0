"""The node's configuration file, `node.toml`: every key, its default and its limits.

`deploy/node.example.toml` shows every key with a comment. Unknown keys are errors, text is never
read as a number, and all faults of a file are reported at once.
"""

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from cestle.config.products import Product, ReportClass
from cestle.config.templates import validation_lines
from cestle.errors import ConfigError

_BASE_KEY: Final = "folder"
_AE_TITLE: Final = re.compile(
    r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?"
)
_DESTINATION_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


def _ae_title(text: str) -> str:
    # PS3.5 6.2: AE is at most 16 characters of the default repertoire without backslash and
    # control characters; leading and trailing spaces do not count, so they only confuse.
    if not _AE_TITLE.fullmatch(text):
        raise ValueError(
            "expected 1 to 16 printable ASCII characters without backslash and without spaces "
            "at either end"
        )
    return text


def _destination_name(text: str) -> str:
    if not _DESTINATION_NAME.fullmatch(text):
        raise ValueError("expected 1 to 32 letters, digits, '-' or '_'")
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text, strict=True)
    except ValueError as fault:
        raise ValueError(
            f"expected an IP address or a network such as 10.1.2.0/24 ({fault}); host names are "
            "not used because whoever answers for a name could send"
        ) from fault
    return text


def _absolute_path(value: Any, info: ValidationInfo) -> Any:
    """Take a path as relative to the configuration file; leave other types to pydantic."""
    if not isinstance(value, str):
        return value
    if not value:
        raise ValueError("expected a path, found an empty text")
    base = (info.context or {}).get(_BASE_KEY, Path.cwd())
    # As text: pydantic makes the Path, in Python and in JSON mode alike.
    return str((base / Path(value).expanduser()).absolute())


def _optional_path(value: Any, info: ValidationInfo) -> Any:
    return None if value == "" else _absolute_path(value, info)


def _database_url(text: str) -> str:
    if text and not text.startswith(("postgresql://", "postgres://")):
        raise ValueError(
            "expected nothing for SQLite in data_dir, or an address that begins with postgresql://"
        )
    return text


def _ae_title_or_none(text: str) -> str:
    return _ae_title(text) if text else text


def _web_url(text: str) -> str:
    if not text:
        return text
    try:
        parts = urlsplit(text)
        odd = parts.username is not None or bool(parts.query) or bool(parts.fragment)
        known = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        odd = known = False
    if odd or not known:
        raise ValueError(
            "expected the root of a DICOMweb service, such as https://pacs.example/dicom-web, "
            "without user, password and query"
        )
    return text.rstrip("/")


def _needed_without_url(value: Any, info: ValidationInfo) -> Any:
    if not value and not info.data.get("stow_url"):
        raise ValueError(f"expected {info.field_name}, or a stow_url in its place")
    return value


AeTitle = Annotated[str, AfterValidator(_ae_title)]
FolderPath = Annotated[Path, Field(strict=False), BeforeValidator(_absolute_path)]
OptionalPath = Annotated[Path | None, Field(strict=False), BeforeValidator(_optional_path)]
Port = Annotated[int, Field(ge=1, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class NodeSection(_Section):
    """Who the node is, where it listens and where it keeps things."""

    ae_title: AeTitle = "CESTLE"
    redo_ae_title: AeTitle = "CESTLE_REDO"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 11112
    data_dir: FolderPath = Path("/var/lib/cestle")
    disk_reserve_gb: Annotated[float, Field(ge=0)] = 5.0
    maximum_associations: Annotated[int, Field(ge=1, le=200)] = 20
    receivers: Annotated[int, Field(ge=0, le=16)] = 1
    network_timeout_seconds: Annotated[float, Field(gt=0)] = 60.0

    @model_validator(mode="after")
    def _distinct_titles(self) -> Self:
        if self.receivers > self.maximum_associations:
            raise ValueError(
                f"receivers is {self.receivers}, expected at most maximum_associations "
                f"({self.maximum_associations}), which they share"
            )
        if self.ae_title == self.redo_ae_title:
            raise ValueError("redo_ae_title equals ae_title; every study would be reprocessed")
        return self


class Peer(_Section):
    """A system that may send to the node: a calling AE title together with its addresses."""

    ae_title: AeTitle
    hosts: Annotated[
        tuple[Annotated[str, AfterValidator(_network)], ...], Field(min_length=1, strict=False)
    ]
    certificate_subject: str = ""


class Destination(_Section):
    """A system that the results are sent to."""

    name: Annotated[str, AfterValidator(_destination_name)]
    # Before what it stands for, so that their validators see it.
    stow_url: Annotated[str, AfterValidator(_web_url)] = ""
    stow_token_file: OptionalPath = None
    stow_password_file: OptionalPath = None
    ae_title: Annotated[
        str,
        AfterValidator(_ae_title_or_none),
        AfterValidator(_needed_without_url),
        Field(validate_default=True),
    ] = ""
    host: Annotated[str, AfterValidator(_needed_without_url), Field(validate_default=True)] = ""
    port: Annotated[
        int,
        Field(ge=0, le=65535, validate_default=True),
        AfterValidator(_needed_without_url),
    ] = 0
    tls: bool = False
    objects: Annotated[tuple[Product, ...], Field(strict=False)] = ()
    sr_class: ReportClass = "negotiated"
    storage_commitment: bool = False
    commitment_wait_minutes: Annotated[float, Field(gt=0)] = 60.0
    commitment_ae_title: Annotated[str, AfterValidator(_ae_title_or_none)] = ""
    commitment_host: str = ""
    commitment_port: Annotated[int, Field(ge=0, le=65535)] = 0
    timeout_seconds: Annotated[float, Field(gt=0)] = 30.0
    retry_seconds: Annotated[float, Field(gt=0)] = 5.0
    longest_retry_minutes: Annotated[float, Field(gt=0)] = 30.0
    give_up_hours: Annotated[float, Field(gt=0)] = 72.0
    echo_minutes: Annotated[float, Field(ge=0)] = 5.0

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.stow_url and (self.ae_title or self.host or self.port):
            raise ValueError("stow_url beside ae_title, host or port; expected one way to send")
        if self.stow_url and self.storage_commitment:
            raise ValueError(
                "storage_commitment with stow_url; it exists for ae_title, host and port only"
            )
        if not self.stow_url and (self.stow_token_file or self.stow_password_file):
            raise ValueError("stow_token_file or stow_password_file without stow_url")
        if self.stow_token_file and self.stow_password_file:
            raise ValueError("stow_token_file beside stow_password_file; expected one of them")
        if self.stow_url.startswith("http:") and (self.stow_token_file or self.stow_password_file):
            raise ValueError("a token or password would go in the clear; expected an https address")
        if self.stow_url.startswith("http:") and self.tls:
            raise ValueError("tls with an address that begins with http; expected https")
        return self

    def for_commitment(self) -> "Destination":
        """The same with title and address of the one that is asked for storage commitment."""
        return self.model_copy(
            update={
                "ae_title": self.commitment_ae_title or self.ae_title,
                "host": self.commitment_host or self.host,
                "port": self.commitment_port or self.port,
            }
        )


class Archive(_Section):
    """A system that studies can be fetched from."""

    name: Annotated[str, AfterValidator(_destination_name)]
    ae_title: AeTitle
    host: Annotated[str, Field(min_length=1)]
    port: Port
    tls: bool = False
    retrieve: Literal["move", "get"] = "move"
    timeout_seconds: Annotated[float, Field(gt=0)] = 60.0


Expected = Literal["cest", "b0_map", "b1_map", "t1", "regions", "spectra", "water"]


class StudySection(_Section):
    """When a study counts as complete."""

    expected: Annotated[tuple[Expected, ...], Field(strict=False)] = (
        *("cest", "b0_map", "b1_map", "t1", "regions"),
    )
    quiet_seconds: Annotated[float, Field(ge=0)] = 20.0
    partial_quiet_seconds: Annotated[float, Field(ge=0)] = 300.0
    max_wait_minutes: Annotated[float, Field(gt=0)] = 120.0
    performed_quiet_seconds: Annotated[float, Field(ge=0)] = 3.0

    @model_validator(mode="after")
    def _patience_grows(self) -> Self:
        if self.partial_quiet_seconds < self.quiet_seconds:
            raise ValueError(
                f"partial_quiet_seconds is {self.partial_quiet_seconds:g}, expected at least "
                f"quiet_seconds ({self.quiet_seconds:g})"
            )
        return self


class EngineSection(_Section):
    """How the work is run."""

    database_url: Annotated[str, AfterValidator(_database_url)] = ""
    worker_name: Annotated[str, Field(max_length=64)] = ""
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    compute_timeout_minutes: Annotated[float, Field(gt=0)] = 15.0
    compute_memory_mb: Annotated[int, Field(ge=64)] = 4096


class RetentionSection(_Section):
    """How many days what is finished is kept; 0 for ever."""

    spool_days: Annotated[float, Field(ge=0)] = 0.0
    results_days: Annotated[float, Field(ge=0)] = 0.0
    quarantine_days: Annotated[float, Field(ge=0)] = 0.0


def _rises(numbers: tuple[float, ...]) -> bool:
    return len(numbers) == 2 and numbers[0] < numbers[1]


B0MethodName = Literal[
    "none", "linear", "pchip", "quadratic", "ln_quadratic", "pooled", "ln_pooled"
]
B1MethodName = Literal["none", "divide", "additive", "calibration"]
MrsMethodName = Literal["linear_combination", "paper"]


class MrsSection(_Section):
    """How MEGA-PRESS spectra are analysed, and the limits of their quality."""

    enabled: bool = True
    method: MrsMethodName = "linear_combination"
    bootstrap_draws: Annotated[int, Field(ge=0, le=10_000)] = 200
    gaba_cr_factor: Annotated[float, Field(gt=0)] = 1.0
    glx_cr_factor: Annotated[float, Field(gt=0)] = 1.0
    missing_water: Literal["fail", "warn"] = "fail"
    max_water_fwhm_hz: Annotated[float, Field(gt=0)] = 14.0
    max_metabolite_fwhm_hz: Annotated[float, Field(gt=0)] = 10.0
    min_snr: Annotated[float, Field(ge=0)] = 3.0
    warn_drift_hz: Annotated[float, Field(ge=0)] = 5.0
    max_drift_hz: Annotated[float, Field(gt=0)] = 10.0
    min_kept_percent: Annotated[float, Field(gt=0, le=100)] = 75.0
    min_kept_transients: Annotated[int, Field(ge=1)] = 60
    max_choline_percent: Annotated[float, Field(gt=0)] = 5.0
    max_creatine_percent: Annotated[float, Field(gt=0)] = 10.0
    max_crlb_percent: Annotated[float, Field(gt=0)] = 20.0
    max_residual_over_noise: Annotated[float, Field(gt=0)] = 2.0

    @model_validator(mode="after")
    def _warns_before_it_fails(self) -> Self:
        if self.warn_drift_hz > self.max_drift_hz:
            raise ValueError(
                f"warn_drift_hz is {self.warn_drift_hz:g}, expected at most max_drift_hz "
                f"({self.max_drift_hz:g})"
            )
        return self


_T1_PLACE: Final = "{t1}"
_LABELS_PLACE: Final = "{labels}"


class RegionsSection(_Section):
    """Where regions come from when nobody sends any."""

    automatic_atlas: bool = True
    ellipse_table_file: OptionalPath = None
    wait_for_expert_minutes: Annotated[float, Field(ge=0)] = 0.0
    plugin_command: Annotated[tuple[str, ...], Field(strict=False)] = ()
    plugin_name: Annotated[str, Field(max_length=48)] = ""
    plugin_version: Annotated[str, Field(max_length=16)] = ""
    plugin_scheme: str = ""
    plugin_timeout_minutes: Annotated[float, Field(gt=0)] = 5.0
    plugin_memory_mb: Annotated[int, Field(ge=64)] = 4096

    @property
    def automatic(self) -> bool:
        """Whether software may draw the regions."""
        return self.automatic_atlas or bool(self.plugin_command)

    @model_validator(mode="after")
    def _whole_plug_in(self) -> Self:
        if not self.plugin_command:
            return self
        for place in (_T1_PLACE, _LABELS_PLACE):
            if not any(place in argument for argument in self.plugin_command):
                raise ValueError(
                    f"plugin_command does not contain {place}, expected it where the name of "
                    "that file belongs"
                )
        for key in ("plugin_name", "plugin_version", "plugin_scheme"):
            if not getattr(self, key):
                raise ValueError(
                    f"plugin_command without {key}; expected it, because results state what drew "
                    "the regions and which label is what"
                )
        return self


class AnalysisSection(_Section):
    """Methods and limits of the analysis."""

    registration: bool = True
    b0_method: B0MethodName = "pooled"
    smooth_b0: bool = False
    b1_method: B1MethodName = "calibration"
    b1_calibration_file: OptionalPath = None
    region_estimator: Literal[
        "mean", "median", "trimmed", "ratio_of_means", "threshold_0.5", "regression"
    ] = "mean"
    edge_erosion_voxels: Annotated[int, Field(ge=0, le=3)] = 0
    slab_registration: bool = True
    tissue_from_t1: bool = True
    white_matter_range_percent: Annotated[tuple[float, ...], Field(strict=False, max_length=2)] = ()
    max_b0_shift_ppm: Annotated[float, Field(gt=0, le=0.5)] = 0.4
    min_relative_b1: Annotated[float, Field(gt=0)] = 0.6
    max_relative_b1: Annotated[float, Field(gt=0)] = 1.4
    min_signal_snr: Annotated[float, Field(ge=0)] = 5.0
    min_effective_voxels_hippocampus: Annotated[float, Field(ge=1)] = 10.0
    min_effective_voxels_amygdala: Annotated[float, Field(ge=1)] = 10.0
    call_policy: Literal["interval", "paper"] = "interval"
    combined_score_coefficients: Annotated[
        tuple[float, ...], Field(strict=False, max_length=3)
    ] = ()
    combined_score_source: str = ""
    language: Literal["en", "zh-CN"] = "en"
    patient_banner: Literal["full", "initials", "id_only", "none"] = "id_only"
    mrs: MrsSection = MrsSection()
    regions: RegionsSection = RegionsSection()

    @property
    def white_matter_range(self) -> tuple[float, float] | None:
        """Lowest and highest median GluCEST of white matter [%]; None where none is stated."""
        if not self.white_matter_range_percent:
            return None
        low, high = self.white_matter_range_percent
        return low, high

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.min_relative_b1 >= self.max_relative_b1:
            raise ValueError(
                f"min_relative_b1 is {self.min_relative_b1:g}, expected less than "
                f"max_relative_b1 ({self.max_relative_b1:g})"
            )
        if self.white_matter_range_percent and not _rises(self.white_matter_range_percent):
            raise ValueError(
                f"white_matter_range_percent is {list(self.white_matter_range_percent)}, expected "
                "nothing or two numbers, the lower one first"
            )
        if len(self.combined_score_coefficients) not in (0, 3):
            raise ValueError(
                f"combined_score_coefficients has {len(self.combined_score_coefficients)} numbers, "
                "expected none or three: intercept, hippocampus, amygdala"
            )
        if self.combined_score_coefficients and not self.combined_score_source:
            raise ValueError(
                "combined_score_coefficients without combined_score_source; expected whose fit it "
                "is: cohort, size, date"
            )
        return self


class TemplatesSection(_Section):
    """Where a site keeps its own templates."""

    overlay_dir: OptionalPath = None


class TlsSection(_Section):
    """Mutual TLS of the listener, and of the destinations that ask for it."""

    enabled: bool = False
    certificate_file: OptionalPath = None
    key_file: OptionalPath = None
    ca_file: OptionalPath = None

    @property
    def complete(self) -> bool:
        """Whether all three files are named."""
        return None not in (self.certificate_file, self.key_file, self.ca_file)


class WebSection(_Section):
    """Where health and figures are served; they hold no patient data."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080


class LoggingSection(_Section):
    """What is logged."""

    level: Literal["debug", "info", "warning", "error"] = "info"


class NodeConfig(_Section):
    """The whole of `node.toml`."""

    node: NodeSection = NodeSection()
    peers: Annotated[tuple[Peer, ...], Field(min_length=1, strict=False)]
    destinations: Annotated[tuple[Destination, ...], Field(min_length=1, strict=False)]
    archives: Annotated[tuple[Archive, ...], Field(strict=False)] = ()
    study: StudySection = StudySection()
    engine: EngineSection = EngineSection()
    retention: RetentionSection = RetentionSection()
    analysis: AnalysisSection = AnalysisSection()
    templates: TemplatesSection = TemplatesSection()
    tls: TlsSection = TlsSection()
    web: WebSection = WebSection()
    logging: LoggingSection = LoggingSection()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [destination.name for destination in self.destinations]
        for name in sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"destinations: the name '{name}' is used twice, expected once")
        regions, engine = self.analysis.regions, self.engine
        if regions.plugin_command and (
            regions.plugin_timeout_minutes >= engine.compute_timeout_minutes
        ):
            raise ValueError(
                f"analysis.regions: plugin_timeout_minutes is {regions.plugin_timeout_minutes:g}, "
                f"expected less than engine.compute_timeout_minutes "
                f"({engine.compute_timeout_minutes:g})"
            )
        self._require_archives_in_order()
        called = [one.tls for one in self.destinations] + [one.tls for one in self.archives]
        wanted = self.tls.enabled or any(called)
        if wanted and not self.tls.complete:
            raise ValueError(
                "tls: certificate_file, key_file and ca_file are needed where TLS is enabled"
            )
        for peer in self.peers:
            if peer.certificate_subject and not self.tls.enabled:
                raise ValueError(
                    f"peers: certificate_subject of {peer.ae_title} without TLS, expected "
                    "tls.enabled = true; without it nobody shows a certificate"
                )
        return self

    def _require_archives_in_order(self) -> None:
        names = [archive.name for archive in self.archives]
        for name in sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"archives: the name '{name}' is used twice, expected once")
        peers = {peer.ae_title for peer in self.peers}
        for archive in self.archives:
            if archive.retrieve == "move" and archive.ae_title not in peers:
                raise ValueError(
                    f"archives: '{archive.name}' sends by C-MOVE, but {archive.ae_title} is none "
                    'of the peers; add it there, or set retrieve = "get"'
                )

    def destination(self, name: str) -> Destination | None:
        """The destination called `name`; None when there is none."""
        return next((one for one in self.destinations if one.name == name), None)


def load_node_config(path: Path) -> NodeConfig:
    """Read `node.toml`; relative paths in it are relative to its folder.

    Raises
    ------
    ConfigError
        When the file cannot be read, is not TOML, or does not fit `NodeConfig`; the message
        lists every fault with file and key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as fault:
        text = " ".join(str(fault).split())
        raise ConfigError(f"configuration {path} cannot be read: {text}") from fault
    try:
        return NodeConfig.model_validate(content, context={_BASE_KEY: path.absolute().parent})
    except ValidationError as fault:
        lines = (f"{path}: {line}" for line in validation_lines(fault))
        raise ConfigError("; ".join(lines)) from fault
