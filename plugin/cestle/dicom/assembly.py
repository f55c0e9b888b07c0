"""The objects of a study as they are made, each through the gate, and what is said of the rest."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import BytesIO
from typing import Final

import pydicom
from pydicom import Dataset

from cestle.dicom.finish import finish
from cestle.dicom.gate import object_faults, root_faults
from cestle.dicom.identity import OutputContext
from cestle.dicom.report_classes import fallback_name
from cestle.study.analysis import StudyAnalysis
from cestle.study.results import Status

_MOST_FAULTS_TOLD: Final = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class OutputObject:
    """One finished object.

    Parameters
    ----------
    product
        Name in the series rules.
    dataset
        The object.
    content
        The bytes of its file.
    file_name
        Name of its file; the names sort in sending order.
    fallbacks
        The same object for destinations that do not take it in this form, by name, best first.
    """

    product: str
    dataset: Dataset
    content: bytes
    file_name: str
    fallbacks: Mapping[str, "OutputObject"]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Passed:
    product: str
    dataset: Dataset
    content: bytes
    fallbacks: dict[str, "_Passed"] = field(default_factory=dict)


class Assembly:
    """Finishes objects, lets them through the gate and keeps those that pass.

    Parameters
    ----------
    analysis
        The study. Where an object is held back, what is built after it sees the reason.
    context
        What all objects share.
    """

    def __init__(self, analysis: StudyAnalysis, context: OutputContext) -> None:
        self.analysis = analysis
        self.context = context
        self._passed: list[_Passed] = []

    def add(self, product: str, built: Sequence[Dataset]) -> list[Dataset]:
        """Finish the instances of a product; all of them pass, or none is sent.

        Parameters
        ----------
        product
            Name in the series rules.
        built
            As their builder left them.

        Returns
        -------
            The finished instances; none when one of them does not pass.
        """
        passed = [one for dataset in built if (one := self._examined(product, dataset))]
        if len(passed) < len(built):
            return []
        self._passed += passed
        return [one.dataset for one in passed]

    def add_fallback(self, product: str, name: str, built: Dataset) -> Dataset | None:
        """Finish another form of the one instance of a product that passed."""
        return self._keep_fallback(name, self._examined(product, built))

    def derive_fallback(
        self, product: str, name: str, change: Callable[[Dataset], Dataset]
    ) -> Dataset | None:
        """Make another form of the one instance of a product that passed.

        Parameters
        ----------
        product
            Name in the series rules.
        name
            Of the form.
        change
            Given the instance as read from its bytes, the form; it changes root attributes only,
            so that what is nested need not be looked at, nor encoded, once more.
        """
        (first,) = (one for one in self._passed if one.product == product)
        dataset = change(pydicom.dcmread(BytesIO(first.content)))
        content = _encoded(dataset)
        faults = root_faults(dataset, pydicom.dcmread(BytesIO(content)))
        return self._keep_fallback(name, self._judged(product, dataset, content, faults))

    def objects(self) -> tuple[OutputObject, ...]:
        """All objects that passed, in the order in which they were added."""
        digits = max(2, len(str(len(self._passed))))
        return tuple(
            _named(one, f"{number:0{digits}d}_{one.product}.dcm")
            for number, one in enumerate(self._passed, 1)
        )

    def _keep_fallback(self, name: str, form: _Passed | None) -> Dataset | None:
        if form is None:
            return None
        (first,) = (one for one in self._passed if one.product == form.product)
        first.fallbacks[name] = form
        return form.dataset

    def _examined(self, product: str, built: Dataset) -> _Passed | None:
        dataset = finish(built, product, self.context)
        content = _encoded(dataset)
        faults = object_faults(dataset, pydicom.dcmread(BytesIO(content)))
        return self._judged(product, dataset, content, faults)

    def _judged(
        self, product: str, dataset: Dataset, content: bytes, faults: Sequence[str]
    ) -> _Passed | None:
        if not faults:
            return _Passed(product=product, dataset=dataset, content=content)
        told = list(faults[:_MOST_FAULTS_TOLD])
        if len(faults) > len(told):
            told.append(f"{len(faults) - len(told)} more faults")
        self._say(
            f"the object {product} was not sent: {'; '.join(told)}; this is a fault of cestle or "
            "of a template, report it with the version"
        )
        return None

    def _say(self, reason: str) -> None:
        results = self.analysis.results
        if reason not in results.reasons:
            status = Status.PARTIAL if results.status is Status.COMPLETE else results.status
            said = replace(results, status=status, reasons=(*results.reasons, reason))
            self.analysis = replace(self.analysis, results=said)


def _named(one: _Passed, file_name: str) -> OutputObject:
    return OutputObject(
        product=one.product,
        dataset=one.dataset,
        content=one.content,
        file_name=file_name,
        fallbacks={
            name: _named(form, fallback_name(file_name, name))
            for name, form in one.fallbacks.items()
        },
    )


def _encoded(dataset: Dataset) -> bytes:
    buffer = BytesIO()
    with warnings.catch_warnings():
        # Where a text does not fit, the library warns and writes another; the gate finds that.
        warnings.filterwarnings("ignore", message="Failed to encode")
        pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()
