"""`cestle roi-calibrate`: a table that fits the site, and what is refused.

The alignment is replaced by a head that lies in the template as it is; the alignment itself has
tests of its own, and takes a quarter of a minute for each person.
"""

import hashlib
import json
import shutil

import nibabel as nib
import numpy as np
import pydicom
import pytest
import yaml

from cestle.anatomy.atlas import AtlasSegmentation, ellipse_fit
from cestle.anatomy.atlas.volume import Volume
from cestle.anatomy.atlas.warp import LobeWarp
from cestle.anatomy.regions import Region, RegionClass, RegionForm, RegionSource
from cestle.cli.app import run
from cestle.config.atlas import load_atlas_template, load_ellipse_table
from cestle.config.classification import load_rules
from cestle.config.node import RegionsSection, load_node_config
from cestle.config.templates import TemplateFolder
from cestle.dicom.simulated import EncodingOptions, RegionObject, write_study
from cestle.dicom.study_reader import read_study
from cestle.measurement import Side, Structure
from cestle.phantom.study import SimulationSettings, simulate
from cestle.service import atlas_calibrating, region_atlas
from cestle.service.fingerprint import recipe
from cestle.service.processing import region_makers
from cestle.service.region_atlas import BuiltInAtlas
from cestle.study.inputs import ScalarImage
from cestle.study.roles import Role

ORIGIN = np.array([-46.5, -10.0, -44.0])
BOX = Volume(values=np.zeros((60, 62, 94), dtype=np.float32), origin_mm=ORIGIN, step_mm=1.0)
NUMBERS = {
    (Structure.HIPPOCAMPUS, Side.LEFT): 17,
    (Structure.HIPPOCAMPUS, Side.RIGHT): 53,
    (Structure.AMYGDALA, Side.LEFT): 18,
    (Structure.AMYGDALA, Side.RIGHT): 54,
}
PEOPLE = 10
NAME = "Pseudonym"


def saved(values, path):
    """Values on the voxels of `BOX` as a NIfTI file."""
    affine = np.diag([-1.0, -1.0, 1.0, 1.0])
    affine[:3, 3] = ORIGIN * [-1.0, -1.0, 1.0]
    nib.save(nib.Nifti1Image(np.transpose(values, (2, 1, 0)), affine), path)


def write_person(folder, number, *, offset_mm, size, numbers=NUMBERS, scheme="freesurfer"):
    """A T1 and labels of the shipped table, moved and of another size."""
    folder.mkdir(parents=True)
    table = load_ellipse_table()
    points = BOX.points_mm
    labels = np.zeros(BOX.values.shape, dtype=np.int16)
    for (structure, side), label in numbers.items():
        outward = 1.0 if side is Side.LEFT else -1.0
        place = points - np.array([outward * offset_mm[0], 0.0, offset_mm[1]])
        odds = table.log_odds(structure, side, place)
        labels[(odds > (1.0 - size) / table.softness) & (labels == 0)] = label
    saved(labels, folder / "labels.nii.gz")
    generator = np.random.default_rng(number)
    saved(generator.uniform(90.0, 110.0, BOX.values.shape).astype(np.float32), folder / "t1.nii.gz")
    if scheme:
        (folder / "labels.json").write_text(json.dumps({"label_scheme": scheme}))


def write_site(folder, *, offset_mm=(2.0, 1.0), size=0.8, spread_mm=0.6):
    generator = np.random.default_rng(7)
    for number in range(PEOPLE):
        offset = np.array(offset_mm) + generator.normal(scale=spread_mm, size=2)
        write_person(folder / f"{NAME}{number:02d}", number, offset_mm=offset, size=size)
    return folder


@pytest.fixture(scope="module", autouse=True)
def aligned():
    """Heads that lie in the template as they are."""
    warp = LobeWarp(t1=BOX, matched=BOX, template_mm=BOX.points_mm, warped=BOX, remaining={})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(atlas_calibrating, "follow_head", lambda *_: warp)
        # the head is the template, so a point for each voxel carries all there is
        patch.setattr(ellipse_fit, "_FINE", 1)
        yield


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("site") / "people")


@pytest.fixture(scope="module")
def table(site, tmp_path_factory):
    """The table of the site."""
    out = tmp_path_factory.mktemp("table") / "table.yaml"
    assert run(["roi-calibrate", str(site), "--out", str(out), "--name", "site-1"]) == 0
    return out


@pytest.fixture
def copy(site, tmp_path):
    """People that a test may spoil."""
    return shutil.copytree(site, tmp_path / "copy")


def refused(capsys, folder, out, *options):
    assert run(["roi-calibrate", str(folder), "--out", str(out), *options]) == 2
    assert not out.exists()
    text = capsys.readouterr().err
    assert NAME not in text
    return " ".join(text.split())


def test_a_site_gets_a_table_that_fits_its_people(site, table):
    """Smaller outlines further out: the table has them, says what it is worth, and names nobody."""
    found, shipped = load_ellipse_table(table), load_ellipse_table()
    assert found.version == "site-1"
    assert found.digest == hashlib.sha256(table.read_bytes()).hexdigest()
    for structure in Structure:
        own, before = found.structures[structure].rows, shipped.structures[structure].rows
        middle = slice(2, -2) if structure is Structure.HIPPOCAMPUS else slice(1, -1)
        y, x, z, long, short, _ = own[middle].T
        at = [np.interp(y, before[:, 0], before[:, column]) for column in range(1, 5)]
        assert np.mean(x - at[0]) == pytest.approx(2.0, abs=0.5)
        assert np.mean(z - at[1]) == pytest.approx(1.0, abs=0.5)
        assert np.mean(long * short / (at[2] * at[3])) == pytest.approx(0.64, abs=0.08)
    text = table.read_text(encoding="utf-8")
    made = yaml.safe_load(text)["calibration"]
    assert (made["people"], made["label_scheme"], made["before"]) == (PEOPLE, "freesurfer", "1")
    for one in made["overlap"].values():
        assert one["left_one_out"] > one["before"]
    assert NAME not in text
    assert str(site.parent) not in text


def configured(folder):
    config = folder / "node.toml"
    config.write_text(
        '[node]\ndata_dir = "data"\n'
        '[[peers]]\nae_title = "A"\nhosts = ["127.0.0.1"]\n'
        '[[destinations]]\nname = "pacs"\nae_title = "B"\nhost = "127.0.0.1"\nport = 11113\n'
        '[analysis.regions]\nellipse_table_file = "table.yaml"\n'
    )
    return config


def test_a_table_that_was_changed_by_hand_is_refused(table, tmp_path, capsys):
    """Its overlap would be that of other numbers; cestle check names the key and the file."""
    content = yaml.safe_load(table.read_text(encoding="utf-8"))
    config, own = configured(tmp_path), tmp_path / "table.yaml"
    own.write_text(yaml.safe_dump(content), encoding="utf-8")
    check = ["check", "--settings-only", "--config", str(config)]
    assert run(check) == 0
    content["structures"]["amygdala"]["rows"][2][3] += 0.5
    own.write_text(yaml.safe_dump(content), encoding="utf-8")
    capsys.readouterr()
    assert run(check) == 2
    text = capsys.readouterr().err
    assert f"analysis.regions.ellipse_table_file: ellipse table {own}" in text
    assert "numbers_sha256" in text


def test_a_missing_table_is_found_by_the_check(tmp_path, capsys):
    assert run(["check", "--settings-only", "--config", str(configured(tmp_path))]) == 2
    assert "table.yaml cannot be read" in capsys.readouterr().err


def test_the_content_of_the_table_and_not_its_name_makes_another_result(table, tmp_path):
    """A study is computed anew when the table changed, and not when its file was renamed."""
    own = tmp_path / "table.yaml"
    shutil.copy(table, own)
    config = load_node_config(configured(tmp_path))
    first = recipe(config)
    renamed = own.rename(tmp_path / "renamed.yaml")
    file = tmp_path / "node.toml"
    file.write_text(file.read_text().replace("table.yaml", "renamed.yaml"))
    assert recipe(load_node_config(file)) == first
    renamed.write_text(renamed.read_text() + "# another content\n")
    assert recipe(load_node_config(file)) != first
    file.write_text(file.read_text().replace("renamed.yaml", ""))
    assert recipe(load_node_config(file)) != first


def test_regions_by_the_table_say_whose_it_is(table, monkeypatch):
    """Tool and hash of each region name the table; the class stays that of the atlas."""
    region = Region(
        structure=Structure.AMYGDALA,
        side=Side.LEFT,
        fraction=np.ones((2, 2, 2)),
        grid=Volume(values=np.zeros((2, 2, 2)), origin_mm=np.zeros(3), step_mm=1.0).grid("1.2.3"),
        source=RegionSource(form=RegionForm.ATLAS, creation="automatic", identifier="atlas"),
    )
    used = []

    def segment(_values, _grid, template, **_):
        used.append(template.model.version)
        return AtlasSegmentation(regions=(region,), confidence={}, intracranial_volume_mm3=1.0)

    monkeypatch.setattr(region_atlas, "segment_with_atlas", segment)
    anatomy = ScalarImage(values=region.fraction, grid=region.grid)
    makers = region_makers(
        RegionsSection(ellipse_table_file=table), (), scratch=table.parent, progress=print
    )
    (found,) = makers[0].regions(anatomy)
    assert used == ["site-1"]
    assert found.source.tool.endswith("ellipses site-1")
    assert len(found.source.tool) <= 64
    assert found.source.digest == hashlib.sha256(table.read_bytes()).hexdigest()
    assert found.source.region_class is RegionClass.ATLAS
    assert "unverified" in found.source.in_words
    (shipped,) = BuiltInAtlas(progress=print).regions(anatomy)
    assert (shipped.source.digest, used[-1]) == ("", "1")


def test_a_table_that_is_no_better_is_refused(tmp_path, capsys):
    """People like those of the shipped table, who differ much among each other."""
    people = write_site(tmp_path / "people", offset_mm=(0.0, 0.0), size=1.0, spread_mm=2.0)
    text = refused(capsys, people, tmp_path / "out.yaml")
    assert "not better than the shipped one: hippocampus: Dice 0." in text


def test_nine_people_are_too_few(copy, tmp_path, capsys):
    shutil.rmtree(copy / f"{NAME}04")
    assert "9 folders" in refused(capsys, copy, tmp_path / "out.yaml")


def test_a_person_given_twice_is_refused(copy, tmp_path, capsys):
    """The same label map in another file format is the same label map."""
    first, second = copy / f"{NAME}01", copy / f"{NAME}02"
    (second / "labels.nii.gz").unlink()
    nib.save(nib.load(first / "labels.nii.gz"), second / "labels.nii")
    text = refused(capsys, copy, tmp_path / "out.yaml")
    assert "person 3 of 10" in text
    assert "the label map is that of person 2 of 10" in text


def test_exchanged_sides_are_refused(copy, tmp_path, capsys):
    """Left labels on the patient's right, in LPS."""
    exchanged = {(one, side): NUMBERS[one, other] for one in Structure
                 for side, other in ((Side.LEFT, Side.RIGHT), (Side.RIGHT, Side.LEFT))}  # fmt: skip
    shutil.rmtree(copy / f"{NAME}00")
    write_person(copy / f"{NAME}00", 0, offset_mm=(2.0, 1.0), size=0.8, numbers=exchanged)
    assert "may be swapped" in refused(capsys, copy, tmp_path / "out.yaml")


def test_a_missing_structure_is_refused(copy, tmp_path, capsys):
    some = {key: label for key, label in NUMBERS.items() if label != 54}
    shutil.rmtree(copy / f"{NAME}00")
    write_person(copy / f"{NAME}00", 0, offset_mm=(2.0, 1.0), size=0.8, numbers=some)
    assert "lacks right amygdala" in refused(capsys, copy, tmp_path / "out.yaml")


def test_all_who_cannot_be_used_are_named_at_once(copy, tmp_path, capsys):
    """Two spoiled people are found by one run, which takes minutes."""
    for number in (3, 7):
        (copy / f"{NAME}{number:02d}" / "labels.nii.gz").write_bytes(b"no image")
    text = refused(capsys, copy, tmp_path / "out.yaml")
    assert "person 4 of 10" in text
    assert "person 8 of 10" in text


def test_a_t1_without_labels_is_refused(copy, tmp_path, capsys):
    (copy / f"{NAME}00" / "labels.nii.gz").unlink()
    assert "without a label map" in refused(capsys, copy, tmp_path / "out.yaml")


def test_labels_of_another_image_are_refused(copy, tmp_path, capsys):
    """The files beside T1 and labels name two Frames of Reference."""
    folder = copy / f"{NAME}00"
    (folder / "t1.json").write_text(json.dumps({"frame_of_reference_uid": "1.2.3"}))
    (folder / "labels.json").write_text(
        json.dumps({"label_scheme": "freesurfer", "frame_of_reference_uid": "1.2.4"})
    )
    assert "Frame of Reference 1.2.4" in refused(capsys, copy, tmp_path / "out.yaml")


def test_labels_that_do_not_fit_the_head_are_refused(copy, tmp_path, capsys):
    """Labels beside where they belong are not used as if they were right."""
    shutil.rmtree(copy / f"{NAME}00")
    write_person(copy / f"{NAME}00", 0, offset_mm=(6.0, -4.0), size=0.8)
    text = refused(capsys, copy, tmp_path / "out.yaml")
    assert "T1 and label map are of one head" in text


def test_two_protocols_are_refused(copy, tmp_path, capsys):
    """One table of two ways to draw would be that of neither."""
    shutil.rmtree(copy / f"{NAME}00")
    other = dict(zip(NUMBERS, (49, 48, 33, 32), strict=True))
    write_person(copy / f"{NAME}00", 0, offset_mm=(2.0, 1.0), size=0.8, numbers=other, scheme="gif")
    assert "freesurfer and gif" in refused(capsys, copy, tmp_path / "out.yaml")


def test_a_scheme_must_be_named(copy, tmp_path, capsys):
    (copy / f"{NAME}00" / "labels.json").unlink()
    assert "which numbers it uses" in refused(capsys, copy, tmp_path / "out.yaml")


@pytest.mark.parametrize("name", ["1", "", "two words", "x" * 17])
def test_a_name_that_cannot_be_used_is_refused_at_once(site, tmp_path, capsys, name):
    """Results must tell a site's table from the shipped one, in a field of 64 characters."""
    assert "--name" in refused(capsys, site, tmp_path / "out.yaml", "--name", name)


def test_a_folder_that_does_not_exist_is_found_before_the_work(site, tmp_path, capsys):
    assert "is no folder" in refused(capsys, site, tmp_path / "none" / "out.yaml")


@pytest.fixture(scope="module")
def dicom_person(tmp_path_factory):
    """The T1 of the phantom and its regions as a DICOM segmentation, and nothing else."""
    folder = tmp_path_factory.mktemp("dicom")
    study = simulate(SimulationSettings(seed=2, snr=None, b1_spread=0.0, t1_mm=2.0))
    encoding = EncodingOptions(regions=(RegionObject.SEG_ON_T1,))
    rules = load_rules(TemplateFolder.default())
    files = write_study(study, folder, encoding=encoding)
    (segmentation,) = (path for path in files if pydicom.dcmread(path).Modality == "SEG")
    t1 = {str(one.SOPInstanceUID) for one in read_study(files, rules).sources[Role.T1_3D.value]}
    for path in files:
        if path != segmentation and pydicom.dcmread(path).SOPInstanceUID not in t1:
            path.unlink()
    return folder, segmentation


def test_a_t1_and_a_segmentation_in_dicom_are_a_person(dicom_person):
    """Both are found by what they say of themselves, without a CEST series."""
    folder, _ = dicom_person
    person = atlas_calibrating._read(folder, load_rules(TemplateFolder.default()), None)
    assert {(one.structure, one.side) for one in person.regions} == set(NUMBERS)
    assert person.anatomy.grid.frame_of_reference_uid
    assert "DICOM" in person.scheme


def test_outlines_of_the_atlas_itself_are_refused(dicom_person, tmp_path, copy, capsys):
    """A table learned from what the atlas draws would only confirm itself."""
    folder, segmentation = dicom_person
    own = copy / f"{NAME}00"
    shutil.rmtree(own)
    shutil.copytree(folder, own)
    dataset = pydicom.dcmread(segmentation)
    for segment in dataset.SegmentSequence:
        segment.SegmentAlgorithmType = "AUTOMATIC"
        segment.SegmentAlgorithmName = load_atlas_template().identifier
        segment.pop("SegmentationAlgorithmIdentificationSequence", None)
    dataset.save_as(own / segmentation.relative_to(folder))
    assert "drawn by the built-in atlas itself" in refused(capsys, copy, tmp_path / "out.yaml")
