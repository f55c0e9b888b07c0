"""The built-in atlas as a maker of regions."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from cestle.anatomy.atlas import segment_with_atlas
from cestle.anatomy.regions import Region
from cestle.config.atlas import SHIPPED_TABLE, load_atlas_template
from cestle.study.inputs import ScalarImage


@dataclass(frozen=True, kw_only=True)
class BuiltInAtlas:
    """Regions of the built-in atlas, each with the doubts about it.

    Parameters
    ----------
    progress
        Told of each step.
    table
        File of the table of ellipses; None for the shipped one.
    """

    progress: Callable[[str], None]
    table: Path | None = None

    @property
    def name(self) -> str:
        """What it is called in notes."""
        return "the built-in atlas"

    def regions(self, anatomy: ScalarImage) -> tuple[Region, ...]:
        """Draw on a T1.

        Parameters
        ----------
        anatomy
            The T1.

        Raises
        ------
        InputError, NumericalError
            When the T1 cannot be used, or the template does not fit it.
        ConfigError
            When the table cannot be used.
        """
        template = load_atlas_template(self.table or SHIPPED_TABLE)
        found = segment_with_atlas(
            anatomy.values,
            anatomy.grid,
            template,
            progress=lambda step: self.progress(f"built-in atlas: {step}"),
        )
        doubts = {
            name: tuple(one.reasons) if one.low else () for name, one in found.confidence.items()
        }
        return tuple(
            replace(
                region,
                source=replace(
                    region.source,
                    tool=template.identifier,
                    digest=template.model.digest,
                    doubts=doubts.get(region.name, ()),
                ),
            )
            for region in found.regions
        )
