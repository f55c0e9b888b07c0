"""What a revision has to send, and to whom: the list of objects in its results.

A destination gets the objects that its configuration names, and of a report that exists in
several SOP classes the best one that it accepts, or the one that its configuration demands.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from cestle.config.node import Destination
from cestle.errors import DeliveryError
from cestle.net.contexts import REPORT_CLASSES
from cestle.net.instances import OutgoingInstance, describe_file

REPORT: Final = "report"


@dataclass(frozen=True, kw_only=True)
class Deliverable:
    """One object of a revision.

    Parameters
    ----------
    product
        Name in the series rules.
    path
        Its file, relative to the folder of the revision.
    fallbacks
        Files of the same object for other classes of report, by their name, best first.
    """

    product: str
    path: str
    fallbacks: Mapping[str, str]


def read_deliverables(place: Path) -> tuple[Deliverable, ...]:
    """The objects of a computed revision in the order of sending.

    Parameters
    ----------
    place
        Folder of the revision.
    """
    outputs = json.loads((place / "results.json").read_text(encoding="utf-8")).get("outputs", [])
    return tuple(_deliverable(one) for one in outputs)


def chosen_for(
    deliverables: Sequence[Deliverable], destination: Destination
) -> tuple[Deliverable, ...]:
    """Those that a destination gets."""
    wanted = destination.objects
    return tuple(one for one in deliverables if not wanted or one.product in wanted)


def report_file(place: Path) -> Path | None:
    """The report of a revision in its first form; None when it has none."""
    if not (place / "results.json").is_file():
        return None
    paths = [place / one.path for one in read_deliverables(place) if one.product == REPORT]
    return next((path for path in paths if path.is_file()), None)


def outgoing(
    place: Path,
    deliverables: Sequence[Deliverable],
    paths: Sequence[str],
    destination: Destination,
) -> list[OutgoingInstance]:
    """Describe files for the sender, with what may take their place.

    Parameters
    ----------
    place
        Folder of the revision.
    deliverables
        All objects of the revision.
    paths
        Those to send, relative to `place`.
    destination
        Where to; its configuration may demand one class of report.

    Raises
    ------
    DeliveryError
        When the class that the destination demands was not made.
    InputError
        When a file is no DICOM file.
    """
    by_path = {one.path: one for one in deliverables}
    classes = _report_classes(place, deliverables)
    found = []
    for path in paths:
        one = by_path[path]
        if not one.fallbacks:
            found.append(describe_file(place / path))
            continue
        # What points to the report exists once for each of its classes; the two are chosen
        # together, because both need that class.
        forms = [
            replace(describe_file(place / file), needs=(classes[name],))
            for name, file in {REPORT: one.path, **one.fallbacks}.items()
            if name in classes
        ]
        first, *others = _allowed(forms, destination)
        found.append(replace(first, fallbacks=tuple(others)))
    return found


def _deliverable(output: Mapping[str, Any]) -> Deliverable:
    fallbacks = output.get("fallbacks", {})
    return Deliverable(
        product=str(output["product"]),
        path=str(output["path"]),
        fallbacks={str(name): str(one["path"]) for name, one in fallbacks.items()},
    )


def _report_classes(place: Path, deliverables: Sequence[Deliverable]) -> dict[str, str]:
    """SOP class of each form of the report, by the name of the form."""
    return {
        name: describe_file(place / file).sop_class_uid
        for one in deliverables
        if one.product == REPORT
        for name, file in {REPORT: one.path, **one.fallbacks}.items()
    }


def _allowed(forms: Sequence[OutgoingInstance], destination: Destination) -> list[OutgoingInstance]:
    """The forms that the configuration of a destination leaves."""
    if destination.sr_class == "negotiated":
        return list(forms)
    wanted = REPORT_CLASSES[destination.sr_class]
    allowed = [form for form in forms if wanted in form.needs]
    if not allowed:
        raise DeliveryError(
            f"no report of class {destination.sr_class} was made for destination "
            f"'{destination.name}'; reprocess the study, or set sr_class to negotiated",
            permanent=True,
        )
    return allowed
