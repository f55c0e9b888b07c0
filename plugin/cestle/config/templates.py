"""Where `dicom_templates/` is, with single files overlaid by a site's own folder."""

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from cestle.errors import ConfigError

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The safe loader, the fast one where the library has it."""

_UNREADABLE = (OSError, UnicodeDecodeError, yaml.YAMLError)

_Model = TypeVar("_Model", bound=BaseModel)


def shipped_templates_dir() -> Path:
    """The templates that came with cestle: inside the wheel, or beside the source root."""
    packaged = Path(str(resources.files("cestle"))) / "dicom_templates"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "dicom_templates"


@dataclass(frozen=True, kw_only=True)
class TemplateFolder:
    """The effective templates: the shipped folder under an optional site overlay.

    Parameters
    ----------
    shipped
        Folder that came with cestle.
    overlay
        Site folder whose files replace those of the same relative path; None for none.
    """

    shipped: Path
    overlay: Path | None = None

    @classmethod
    def default(cls, overlay: Path | None = None) -> "TemplateFolder":
        """The shipped templates under `overlay`."""
        return cls(shipped=shipped_templates_dir(), overlay=overlay)

    def path(self, relative: str) -> Path:
        """The file that is in force for `relative`."""
        if self.overlay is not None and (self.overlay / relative).is_file():
            return self.overlay / relative
        return self.shipped / relative

    def names(self) -> tuple[str, ...]:
        """Relative names of all YAML files of both folders, sorted."""
        folders = [self.shipped] if self.overlay is None else [self.shipped, self.overlay]
        found = {
            file.relative_to(folder).as_posix()
            for folder in folders
            for file in folder.rglob("*.yaml")
        }
        return tuple(sorted(found))

    def load(self, relative: str) -> Any:
        """Parse one YAML file.

        Raises
        ------
        ConfigError
            When it is missing or no YAML; the message names the file.
        """
        path = self.path(relative)
        try:
            return _parsed(path)
        except _UNREADABLE as fault:
            text = " ".join(str(fault).split())
            raise ConfigError(f"template {path} cannot be read: {text}") from fault

    def load_as(self, relative: str, model: type[_Model]) -> _Model:
        """Parse one YAML file into a pydantic model, listing every fault with its path.

        Raises
        ------
        ConfigError
            When the file is missing, no YAML, or does not fit `model`.
        """
        content = self.load(relative)
        try:
            return model.model_validate(content)
        except ValidationError as fault:
            path = self.path(relative)
            raise ConfigError(
                "; ".join(f"{path}: {line}" for line in validation_lines(fault))
            ) from fault

    def effective_hash(self) -> str:
        """SHA-256 over the names and bytes of all files in force, in hexadecimal."""
        digest = hashlib.sha256()
        for name in self.names():
            digest.update(name.encode() + b"\0")
            digest.update(hashlib.sha256(self.path(name).read_bytes()).digest())
        return digest.hexdigest()


def read_model(path: Path, model: type[_Model], *, what: str) -> _Model:
    """Read one YAML file of its own into a pydantic model.

    Parameters
    ----------
    path
        The file.
    model
        What it has to fit.
    what
        What messages call it.

    Raises
    ------
    ConfigError
        When it cannot be read or does not fit; every fault is listed with the file.
    """
    try:
        return model.model_validate(_parsed(path))
    except ValidationError as fault:
        lines = "; ".join(validation_lines(fault))
        raise ConfigError(f"{what} {path}: {lines}") from fault
    except _UNREADABLE as fault:
        text = " ".join(str(fault).split())
        raise ConfigError(f"{what} {path} cannot be read: {text}") from fault


def _parsed(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506


def validation_lines(fault: ValidationError) -> list[str]:
    """One line for each fault of a pydantic validation: where, what, and what was found."""
    lines = []
    for error in fault.errors():
        where = ".".join(str(part) for part in error["loc"]) or "(top)"
        found = "" if error["type"] == "missing" else f", found {error['input']!r:.80}"
        lines.append(f"{where}: {error['msg']}{found}")
    return lines
