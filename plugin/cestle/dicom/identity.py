"""Who made an object: derived UIDs, equipment, and the numbers of its series."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cestle.config.implementation import named_uid
from cestle.config.reporting import SeriesRule, TemplateSet
from cestle.dicom.study_header import StudyHeader
from cestle.study.results import StudyResults

MANUFACTURER: Final = "cestle"
MODEL: Final = "cestle GluCEST node"
SERIAL_NUMBER: Final = "none"
"""Enhanced equipment needs a serial number (PS3.3 C.7.5.2); software has none."""

DEVICE_UID: Final = named_uid("device")


def derive_uid(origin: str, study_uid: str, revision: int, product: str) -> str:
    """UID of a product of a study, the same at each repeat (PS3.5 B.2: root 2.25 and a UUID).

    Parameters
    ----------
    origin
        What made it, such as ``node`` or ``process``; keeps their objects apart.
    study_uid
        StudyInstanceUID of the sources.
    revision
        Number of the result set.
    product
        Name of the object, series or device.
    """
    return named_uid("\x1f".join((origin, study_uid, str(revision), product)))


@dataclass(frozen=True, kw_only=True)
class OutputIdentity:
    """What makes a set of objects this one and no other.

    Parameters
    ----------
    origin
        As in `derive_uid`.
    revision
        Number of the result set, from 1.
    created
        Creation time that all objects state; same inputs and same time give the same bytes.
    predecessor
        Report of the revision before; None for the first.
    """

    origin: str
    revision: int
    created: datetime
    predecessor: Path | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class OutputContext:
    """What every object of one result set shares.

    Parameters
    ----------
    header
        Patient and study.
    identity
        Origin, revision and time.
    templates
        Codes, series rules and texts.
    results
        The numbers.
    """

    header: StudyHeader
    identity: OutputIdentity
    templates: TemplateSet
    results: StudyResults

    def uid(self, product: str) -> str:
        """UID of a part of this result set."""
        identity = self.identity
        return derive_uid(
            identity.origin, self.header.study_instance_uid, identity.revision, product
        )

    def series_uid(self, product: str) -> str:
        """SeriesInstanceUID of a product."""
        return self.uid(f"{product}.series")

    def instance_uid(self, product: str, number: int = 1) -> str:
        """SOPInstanceUID of a product's instance `number`, from 1."""
        return self.uid(f"{product}.instance.{number}")

    def made_as(self, product: str) -> dict[str, Any]:
        """What highdicom is told of the series, instance and maker of a product's one object."""
        return {
            "series_instance_uid": self.series_uid(product),
            "series_number": self.series_number(product),
            "sop_instance_uid": self.instance_uid(product),
            "instance_number": 1,
            "manufacturer": MANUFACTURER,
            "manufacturer_model_name": MODEL,
            "software_versions": self.results.software_version,
            "device_serial_number": SERIAL_NUMBER,
            "content_creator_name": "cestle^software",
        }

    def rule(self, product: str) -> SeriesRule:
        """How a product is filed."""
        rules = {str(name): rule for name, rule in self.templates.series.objects.items()}
        return rules[product]

    def series_number(self, product: str) -> int:
        """SeriesNumber of a product: one block of ten for each revision."""
        block = self.templates.series.series_number_base + 10 * (self.identity.revision - 1)
        return block + self.rule(product).offset

    @property
    def date(self) -> str:
        """Creation date as DA."""
        return self.identity.created.strftime("%Y%m%d")

    @property
    def time(self) -> str:
        """Creation time as TM."""
        return self.identity.created.strftime("%H%M%S")

    @property
    def software_versions(self) -> list[str]:
        """Version of the software and of the templates."""
        return [self.results.software_version, self.templates.label[:64]]
