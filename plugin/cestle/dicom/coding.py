"""Codes of the templates as DICOM items, and text that may stand inside sequences."""

from typing import Final

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept

from cestle.config.reporting import TemplateSet

_ASCII_FORMS: Final = str.maketrans(
    {
        "−": "-",
        "–": "-",
        "—": "-",
        "×": "x",
        "·": "*",
        "±": "+/-",
        "µ": "u",
        "μ": "u",
        "Δ": "d",
        "σ": "sigma",
        "²": "^2",
        "³": "^3",
        "°": " degrees",
        "…": "...",
        "≤": "<=",
        "≥": ">=",
        "•": "-",
        "“": '"',
        "”": '"',
        "‘": "'",
        "’": "'",
    }
)


def ascii_text(text: str) -> str:
    """Text for the inside of sequences: printable ASCII only.

    Several readers decode nested text with the wrong character set, so that anything else comes
    out as other characters. A character without an ASCII form becomes its code point, such as
    ``<U+6D77>``, so that nothing is lost.
    """
    return "".join(_ascii_form(character) for character in text.translate(_ASCII_FORMS))


def _ascii_form(character: str) -> str:
    if " " <= character <= "~":
        return character
    return " " if character.isspace() else f"<U+{ord(character):04X}>"


def coded(templates: TemplateSet, name: str) -> CodedConcept:
    """The code behind a business name.

    Raises
    ------
    ConfigError
        When the templates hold no such name.
    """
    code = templates.codes.get(name)
    return CodedConcept(
        value=code.value, scheme_designator=code.scheme, meaning=ascii_text(code.meaning)
    )


def private_scheme(templates: TemplateSet) -> CodingSchemeIdentificationItem:
    """Item of the Coding Scheme Identification Sequence (PS3.3 C.12.1.1.1) for our own codes."""
    scheme = templates.codes.private
    return CodingSchemeIdentificationItem(
        designator=scheme.designator,
        name=scheme.name,
        version=scheme.version,
        uid=scheme.uid,
        responsible_organization=scheme.responsible_organization,
    )
