"""The colour page and the full-size pictures as the frames of one Secondary Capture."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.tag import Tag
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage

from cestle.dicom.capture import FRAMES_PRODUCT, color_image
from cestle.dicom.identity import OutputContext
from cestle.render.colors import Pixels
from cestle.render.figures import on_canvas

PRODUCT: Final = FRAMES_PRODUCT


def build_page_frames(
    pages: Sequence[Pixels],
    pictures: Sequence[Pixels],
    maps: Sequence[Dataset],
    context: OutputContext,
) -> Dataset:
    """Build the frames, patient and study still to be written.

    Parameters
    ----------
    pages
        RGB, each of shape (rows, columns, 3), all of one size.
    pictures
        RGB, each at most as large as a page; they follow the pages.
    maps
        The map images that are shown.
    context
        What all objects share.
    """
    rows, columns = pages[0].shape[:2]
    frames = [*pages, *(on_canvas(picture, rows, columns) for picture in pictures)]
    dataset = color_image(PRODUCT, np.stack(frames), maps, context)
    dataset.SOPClassUID = MultiFrameTrueColorSecondaryCaptureImageStorage
    dataset.NumberOfFrames = len(frames)
    # Frames that are pages of a document follow one another by their number (PS3.3 C.8.6.3).
    dataset.FrameIncrementPointer = Tag("PageNumberVector")
    dataset.PageNumberVector = list(range(1, len(frames) + 1))
    return dataset
