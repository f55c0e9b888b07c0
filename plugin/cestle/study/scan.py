"""One GluCEST acquisition: registered, mapped, and held against its own B0 map."""

from dataclasses import dataclass

from cestle.cest.b0 import B0Method
from cestle.cest.glucest import GluCestSettings, compute_glucest
from cestle.cest.images import FieldMaps, GluCestMap, SaturationImages
from cestle.cest.registration import Registration, register
from cestle.cest.selftest import Fit, SelfTest, check_b0_map
from cestle.errors import ProtocolError


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
    """

    images: SaturationImages
    fields: FieldMaps | None
    registration: Registration | None
    glucest: GluCestMap
    self_test: SelfTest | None


def measure_scan(
    images: SaturationImages,
    fields: FieldMaps | None,
    settings: GluCestSettings,
    *,
    registered: bool,
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

    Raises
    ------
    InputError
        When an input is missing, or sign, unit or scale of the B0 map are wrong.
    """
    registration = register(images) if registered else None
    used = images if registration is None else registration.images
    glucest = compute_glucest(used, fields, settings)
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
    )
