"""Header facts: private bytes, odd dates, Hz, Chinese text, and nothing about the person."""

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from cestle.dicom.facts import facts_from_dataset
from cestle.dicom.files import read_header
from cestle.dicom.images import transmitter_mhz
from cestle.errors import HeaderError
from reading import shared

LABEL = "(0065,2D)|Image Private Header"


def image(**changes):
    """A classic UIH image with a private label."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    dataset.SOPInstanceUID = "1.2.3.1"
    dataset.SeriesInstanceUID = "1.2.3"
    dataset.StudyInstanceUID = "1.2"
    dataset.Manufacturer = "UIH"
    dataset.PatientName = "Planted^Person"
    dataset.PatientID = "PLANTED-4711"
    dataset.AccessionNumber = "PLANTED-ACC"
    dataset.ReferringPhysicianName = "Planted^Doctor"
    dataset.ImagingFrequency = "210800000"
    block = dataset.private_block(0x0065, "Image Private Header", create=True)
    block.add_new(0x2D, "ST", "fse_glucest_-3.0ppm#1")
    for name, value in changes.items():
        setattr(dataset, name, value)
    return dataset


def through_file(dataset, path, syntax):
    """Write with a transfer syntax and read the header back."""
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return read_header(path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_private_label_is_read_under_both_syntaxes(tmp_path, syntax):
    """Under Implicit VR the private label arrives as unknown bytes and still is the same text."""
    header = through_file(image(), tmp_path / "a.dcm", syntax)
    (facts,) = facts_from_dataset(header)
    assert facts.all(LABEL) == ("fse_glucest_-3.0ppm#1",)


@pytest.mark.parametrize("charset", ["ISO_IR 192", "GB18030", "GBK"])
def test_chinese_names_of_series_are_decoded(tmp_path, charset):
    """A series description in any Chinese character set gives the same facts."""
    header = through_file(
        image(SpecificCharacterSet=charset, SeriesDescription="左侧海马 GluCEST"),
        tmp_path / "a.dcm",
        ExplicitVRLittleEndian,
    )
    (facts,) = facts_from_dataset(header)
    assert facts.first("SeriesDescription") == "左侧海马 GluCEST"


def test_facts_hold_nothing_that_names_the_person():
    """Name, ID, accession number and physician are in no value, and the key is no ID."""
    (facts,) = facts_from_dataset(image())
    text = repr(dict(facts.values)) + facts.patient_key
    assert "Planted" not in text
    assert "PLANTED" not in text


def test_the_patient_key_tells_patients_apart_and_joins_equal_ones():
    """Equal IDs give equal keys, other IDs other keys, and the key depends on the secret."""

    def key(secret=b"secret", **changes):
        return facts_from_dataset(image(**changes), key=secret)[0].patient_key

    assert key() == key(PatientName="Spelt^Otherwise")
    assert key() != key(PatientID="OTHER")
    assert key() != key(secret=b"another")
    assert key(PatientID="", PatientName="A^B") != key(PatientID="", PatientName="C^D")


def test_a_frequency_in_hertz_is_recognised():
    """210800000 means 210.8 MHz, and 210.8 means the same."""
    (hertz,) = facts_from_dataset(image())
    (megahertz,) = facts_from_dataset(image(ImagingFrequency="210.8"))
    assert transmitter_mhz(hertz) == pytest.approx(210.8)
    assert transmitter_mhz(megahertz) == pytest.approx(210.8)


def test_real_uih_values_that_break_the_standard_are_read():
    """Dates of '***' and an imaging frequency in Hz do not stop the reader."""
    folder = shared("uih-umr770/t1_gre_fsp_slices")
    (facts,) = facts_from_dataset(read_header(sorted(folder.iterdir())[0]))
    assert facts.first("StudyDate") == "***"
    assert transmitter_mhz(facts) == pytest.approx(128.175847)
    assert facts.declared_instances == 160
    assert facts.first(LABEL) == "gre_fsp"


def test_frames_of_an_enhanced_object_carry_their_own_facts():
    """The Philips object has 32 magnitude and 32 field-map frames, told apart per frame."""
    (path,) = shared("fieldmaps/philips_enhanced_b0").iterdir()
    frames = facts_from_dataset(read_header(path))
    assert [one.frame for one in frames] == list(range(1, 65))
    maps = [one for one in frames if "FIELD_MAP" in one.all("FrameType")]
    assert len(maps) == 32
    assert {one.first("RescaleIntercept") for one in maps} == {"-500"}


def test_a_missing_series_uid_is_named():
    """An object without an identifying UID is refused with the name of the element."""
    dataset = image()
    del dataset.SeriesInstanceUID
    with pytest.raises(HeaderError, match="no SeriesInstanceUID"):
        facts_from_dataset(dataset)


def test_a_value_that_cannot_be_decoded_is_left_out(tmp_path):
    """A broken decimal string costs that element, not the instance."""
    dataset = image()
    path = tmp_path / "a.dcm"
    through_file(dataset, path, ExplicitVRLittleEndian)
    broken = path.read_bytes().replace(b"210800000 ", b"2108zz000 ")
    path.write_bytes(broken)
    (facts,) = facts_from_dataset(read_header(path))
    assert transmitter_mhz(facts) is None
    assert facts.first("Manufacturer") == "UIH"


def test_a_text_file_is_no_header(tmp_path):
    """A text file and an empty file are not taken for DICOM."""
    (tmp_path / "a.txt").write_text("hello")
    (tmp_path / "b").write_bytes(b"")
    assert read_header(tmp_path / "a.txt") is None
    assert read_header(tmp_path / "b") is None


def test_numbers_keep_their_digits():
    """Positions survive the way through text to the last bit of a double."""
    value = float(np.nextafter(0.1, 1.0))
    dataset = image()
    dataset.SpectralWidth = value
    (facts,) = facts_from_dataset(dataset)
    assert facts.number("SpectralWidth") == value
