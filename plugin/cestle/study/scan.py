"""One GluCEST acquisition: registered, mapped, and held against its own B0 map."""

from dataclasses import dataclass

from cestle.cest.b0 import B0Method
from cestle.cest.glucest import GluCestSettings, compute_glucest
from cestle.cest.images import FieldMaps, GluCestMap, SaturationImages
from cestle.cest.registration import Registration, register
from cestle.cest.selftest import Fit, SelfTest, check_b0_map
from cestle.errors import ProtocolError
from cestle.study.tissue import NO_TISSUE, StudyTissue


@dataclass(frozen=True, kw_only=True, eq=False)
class GluCestScan:
    """A measured map with all that it was made from.

    Parameters
    ----------
    images
        Saturation images as used, registered where asked for.
    fields
        B0 and B1; None where the method needs none.
    registration
        Motion of the images; None when they were not registered.
    glucest
        The map.
    self_test
        Whether the B0 map fits; None without B0 correction.
    tissue
        Shares of the tissues that the map was made with.
    """

    images: SaturationImages
    fields: FieldMaps | None
    registration: Registration | None
    glucest: GluCestMap
    self_test: SelfTest | None
    tissue: StudyTissue = NO_TISSUE


def measure_scan(
    images: SaturationImages,
    fields: FieldMaps | None,
    settings: GluCestSettings,
    *,
    registered: bool,
    tissue: StudyTissue = NO_TISSUE,
) -> GluCestScan:
    """Make the map, unless the B0 map contradicts the images.

    Parameters
    ----------
    images, fields
        As acquired.
    settings
        How the map is made.
    registered
        Whether the images are registered first; a phantom without structure should not be.
    tissue
        Shares of the tissues; they are used where they fit the registered images.

    Raises
    ------
    InputError
        When an input is missing, or sign, unit or scale of the B0 map are wrong.
    """
    registration = register(images) if registered else None
    used = images if registration is None else registration.images
    tissue = tissue.placed_on(used)
    glucest = compute_glucest(used, fields, settings, tissue_fractions=tissue.fractions)
    self_test = None
    if fields is not None and settings.b0_method is not B0Method.NONE:
        self_test = check_b0_map(used, fields, settings)
        if self_test.fit is Fit.WRONG:
            raise ProtocolError(
                f"the B0 map does not fit the CEST images: it would have to be multiplied by "
                f"{self_test.factor:.2f}, 1 was expected; check its unit and sign in the "
                "classification rules, and the sign of the offsets."
            )
    return GluCestScan(
        images=used,
        fields=fields,
        registration=registration,
        glucest=glucest,
        self_test=self_test,
        tissue=tissue,
    )
