"""The objects that a site can switch on, read back independently of the code that wrote them."""

import subprocess
from io import BytesIO

import highdicom as hd
import numpy as np
import pytest
from PIL import Image
from pydicom.pixels import apply_modality_lut

from cestle.config.products import PRODUCTS
from cestle.dicom.parametric_map import PADDING, stored_values
from cestle.render.document import pdf_bytes
from node.rig import need_program
from phantoms import analysis_builder as build
from phantoms.output_sets import CREATED, WrittenSet
from phantoms.source_builder import sources


def real_world(image, stored):
    """Values of pixels through the first Real World Value Mapping of an image."""
    shared = image.get("SharedFunctionalGroupsSequence", [image])[0]
    mapping = shared.RealWorldValueMappingSequence[0]
    return stored * mapping.RealWorldValueSlope + mapping.RealWorldValueIntercept


def test_all_objects_come_in_sending_order(whole_set):
    """With everything switched on each product is made, and file names sort in their order."""
    # Regions drawn on the CEST slices are not sent on the T1.
    expected = [product for product in PRODUCTS if product != "segmentation_t1"]
    assert list(whole_set.files) == expected
    names = sorted(path.name for path in (whole_set.folder / "dicom").glob("*.dcm"))
    assert [name.split(".")[0][3:] for name in names] == expected


def test_series_are_told_apart(whole_set):
    """Each product has a series of its own with a number of its own."""
    headers = [whole_set.read(product) for product in whole_set.files]
    assert len({h.SeriesInstanceUID for h in headers}) == len(headers)
    assert sorted(h.SeriesNumber for h in headers) == list(range(9000, 9009))


def test_map_image_and_parametric_map_say_the_same(whole_set):
    """Rescale, real world mapping of the map and of the Parametric Map give one number."""
    image, scientific = whole_set.read("glucest_map"), whole_set.read("parametric_map")
    stored, other = image.pixel_array, scientific.pixel_array.reshape(image.pixel_array.shape)
    known = stored != image.PixelPaddingValue
    np.testing.assert_array_equal(known, other != scientific.PixelPaddingValue)
    by_map = real_world(image, stored)[known]
    np.testing.assert_allclose(apply_modality_lut(stored, image)[known], by_map, atol=1e-9)
    np.testing.assert_allclose(real_world(scientific, other)[known], by_map, atol=1e-9)
    truth = whole_set.analysis.glucest.percent[0]
    assert np.abs(by_map - truth[known]).max() <= 0.005 + 1e-9


def test_highdicom_reads_the_parametric_map_in_percent(whole_set):
    """Highdicom's reader gives the map in percent from the Parametric Map."""
    image = hd.imread(whole_set.files["parametric_map"][0])
    values = image.get_frame(1, apply_real_world_transform=True, dtype=np.float64)
    glucest = whole_set.analysis.glucest
    known = glucest.valid[0]
    np.testing.assert_allclose(values[known], glucest.percent[0][known], atol=0.0051)


def test_the_window_of_the_parametric_map_spans_the_colour_scale(whole_set):
    """Grey rises from black at 5 % to white at 12 %, in stored units as the object demands."""
    frame = whole_set.read("parametric_map").SharedFunctionalGroupsSequence[0]
    window = frame.FrameVOILUTSequence[0]
    assert "PixelValueTransformationSequence" in frame
    stored = (np.array([5.0, 8.5, 12.0]) + 100.0) / 0.01
    # The LINEAR function of PS3.3 C.11.2.1.2.1 before it is clipped, as a share of the output.
    centre, width = float(window.WindowCenter), float(window.WindowWidth)
    share = (stored - (centre - 0.5)) / (width - 1.0) + 0.5
    np.testing.assert_allclose(share, [0.0, 0.5, 1.0], atol=1e-6)


def test_the_parametric_map_names_the_anatomy(whole_set):
    """The Frame Anatomy macro is there, which a reader of 3D Slicer follows without looking."""
    groups = whole_set.read("parametric_map").SharedFunctionalGroupsSequence[0]
    anatomy = groups.FrameAnatomySequence[0]
    assert anatomy.FrameLaterality == "U"
    assert anatomy.AnatomicRegionSequence[0].CodeValue == "12738006"


def test_frames_stand_in_the_order_of_their_places(tmp_path):
    """Frames of three slices follow one another along the normal, each with its own pixels."""
    grid = build.coronal_grid((3, 128, 128))
    analysis = build.analysis(grid)
    found = WrittenSet(tmp_path, analysis, sources(grid)).read("parametric_map")
    expected = stored_values(analysis.glucest)
    for index, frame in enumerate(found.PerFrameFunctionalGroupsSequence):
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, dtype=float)
        at = grid.to_lps(np.array([float(index), 0.0, 0.0]))
        np.testing.assert_allclose(position, at, atol=1e-4)
        np.testing.assert_array_equal(found.pixel_array[index], expected[index])
        assert frame.FrameContentSequence[0].DimensionIndexValues == index + 1


def test_contrast_outside_the_range_is_padding():
    """A contrast below -100 % is padding in the Parametric Map and never another number."""
    from dataclasses import replace

    glucest = build.usual_analysis().glucest
    percent = np.where(glucest.valid, 8.0, np.nan)
    percent[0, 64, 64:68] = [-100.0, -150.0, -99.99, 300.0]
    stored = stored_values(replace(glucest, percent=percent))
    assert list(stored[0, 64, 64:68]) == [PADDING, PADDING, 1, 40000]


def test_frames_are_the_page_and_the_pictures(whole_set):
    """The first frames are the pages, the others hold the pictures whole."""
    frames = whole_set.read("page_frames")
    pixels = frames.pixel_array
    assert pixels.shape == (5, 1024, 1024, 3)
    assert list(frames.PageNumberVector) == [1, 2, 3, 4, 5]
    for index, product in enumerate(("secondary_capture", "mrs_page")):
        np.testing.assert_array_equal(pixels[index], whole_set.read(product).pixel_array)
    # The warning strip of a picture of 880 rows ends 72 rows above the lower edge.
    assert (pixels[2:, 940, 512] != pixels[2:, 1000, 512]).any(axis=-1).all()


def test_a_study_without_map_has_one_frame(tmp_path):
    """Without a map and fields the frames are the page alone."""
    made = WrittenSet(tmp_path, build.analysis_without_map(), sources())
    assert list(made.files) == ["secondary_capture", "page_frames", "pdf", "report", "key_object"]
    assert made.read("page_frames").NumberOfFrames == 1


@pytest.mark.peer
def test_the_pdf_is_the_page(whole_set, tmp_path):
    """Poppler takes from the document the very pixels of both pages."""
    document = whole_set.read("pdf")
    content = document.EncapsulatedDocument[: document.EncapsulatedDocumentLength]
    assert content.startswith(b"%PDF-")
    (tmp_path / "page.pdf").write_bytes(content)
    command = [need_program("pdfimages"), "-png", "page.pdf", "page"]
    subprocess.run(command, cwd=tmp_path, check=True)
    pictures = sorted(tmp_path.glob("page-*.png"))
    for picture, product in zip(pictures, ("secondary_capture", "mrs_page"), strict=True):
        found = np.asarray(Image.open(picture).convert("RGB"))
        np.testing.assert_array_equal(found, whole_set.read(product).pixel_array)


def test_the_pdf_names_no_patient(whole_set):
    """Neither the header of the document nor its text holds anything of the patient."""
    content = bytes(whole_set.read("pdf").EncapsulatedDocument)
    for secret in (b"Zhang", "张".encode(), b"TLE-0042", b"19900229"):
        assert secret not in content


def test_the_same_pages_give_the_same_pdf():
    """Two documents of the same pages and time are equal byte by byte."""
    page = np.full((64, 32, 3), 200, dtype=np.uint8)
    made = [pdf_bytes([page, page], title="t", created=CREATED) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0].count(b"/Type /Page\n") + made[0].count(b"/Type /Page ") == 2


def test_the_key_object_points_to_page_and_report(whole_set):
    """The selection names the pages and the report, unnamed as TID 2010 has them."""
    selection = whole_set.read("key_object")
    assert selection.ConceptNameCodeSequence[0].CodeValue == "113000"
    pointers = [
        item for item in selection.ContentSequence if item.ValueType in ("IMAGE", "COMPOSITE")
    ]
    named = {item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in pointers}
    products = ("secondary_capture", "mrs_page", "page_frames", "report")
    assert named == {whole_set.read(product).SOPInstanceUID for product in products}
    assert not any("ConceptNameCodeSequence" in item for item in pointers)
    evidence = {
        instance.ReferencedSOPInstanceUID
        for study in selection.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert evidence == named


@pytest.mark.parametrize("form", ["comprehensive", "enhanced"])
def test_a_fallback_differs_in_class_and_uid_alone(whole_set, form):
    """The report in another class has the same content, another instance UID, and the class."""
    first, other = whole_set.read("report"), whole_set.read("report", form)
    classes = {
        "comprehensive": "1.2.840.10008.5.1.4.1.1.88.33",
        "enhanced": "1.2.840.10008.5.1.4.1.1.88.22",
    }
    assert other.SOPClassUID == other.file_meta.MediaStorageSOPClassUID == classes[form]
    assert other.SOPInstanceUID == other.file_meta.MediaStorageSOPInstanceUID
    assert other.SOPInstanceUID != first.SOPInstanceUID
    for dataset in (first, other):
        del dataset.SOPClassUID, dataset.SOPInstanceUID
    assert first == other


@pytest.mark.parametrize("form", ["comprehensive", "enhanced"])
def test_the_key_object_of_a_fallback_points_to_it(whole_set, form):
    """The selection for a destination names the report in the class that the destination has."""
    selection = whole_set.read("key_object", form)
    assert selection.SOPInstanceUID != whole_set.read("key_object").SOPInstanceUID
    (pointer,) = (item for item in selection.ContentSequence if item.ValueType == "COMPOSITE")
    named = pointer.ReferencedSOPSequence[0]
    report = whole_set.read("report", form)
    assert named.ReferencedSOPInstanceUID == report.SOPInstanceUID
    assert named.ReferencedSOPClassUID == report.SOPClassUID


def test_a_fallback_follows_the_fallback_before(whole_set, tmp_path):
    """Each class of a second revision names the report of the first in the same class."""
    second = WrittenSet(
        tmp_path,
        build.analysis(revision=2),
        sources(),
        revision=2,
        predecessor=whole_set.files["report"][0],
    )
    for form in (None, "comprehensive", "enhanced"):
        (item,) = second.read("report", form).PredecessorDocumentsSequence
        named = item.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        before = whole_set.read("report", form)
        assert named.ReferencedSOPInstanceUID == before.SOPInstanceUID
        assert named.ReferencedSOPClassUID == before.SOPClassUID


def test_a_canvas_centres_the_picture():
    """A picture of odd size keeps its pixels in the middle of a larger canvas."""
    from cestle.render.figures import on_canvas, png_bytes

    picture = np.full((3, 5, 3), 255, dtype=np.uint8)
    canvas = on_canvas(picture, 10, 10)
    assert np.argwhere(canvas.min(axis=-1) == 255).min(axis=0).tolist() == [3, 2]
    assert np.count_nonzero(canvas.min(axis=-1) == 255) == 15
    assert Image.open(BytesIO(png_bytes(canvas))).size == (10, 10)
