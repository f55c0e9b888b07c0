"""What a result follows from, as one hash: with the same, a computation would give the same.

In it are the inputs and regions, the options of the study, and the recipe: the versions of
software and templates and the analysis that the configuration asks for. Where results are sent
is not in it.
"""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import cestle
from cestle.config.node import NodeConfig
from cestle.config.options import StudyOptions
from cestle.config.templates import TemplateFolder


def recipe(config: NodeConfig) -> str:
    """Hash of what this node does with any study: versions, templates and methods."""
    analysis = config.analysis
    return _digest(
        cestle.__version__,
        TemplateFolder.default(config.templates.overlay_dir).effective_hash(),
        # of files the content counts, not the name
        analysis.model_dump_json(
            exclude={"b1_calibration_file": True, "regions": {"ellipse_table_file"}}
        ),
        _content(analysis.b1_calibration_file),
        _content(analysis.regions.ellipse_table_file),
    )


def fingerprint(inputs: Iterable[tuple[str, str]], options: StudyOptions, recipe: str) -> str:
    """Hash of all that the results of one revision follow from.

    Parameters
    ----------
    inputs
        SOP Instance UID and SHA-256 of each instance that is used, in any order.
    options
        What a person asked for; the hashes of regions that were given are in it.
    recipe
        As `recipe` gives it.
    """
    return _digest(json.dumps(sorted(inputs)), options.to_text(), recipe)


def _content(path: Path | None) -> str:
    return path.read_bytes().hex() if path is not None and path.is_file() else ""


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
