"""A segmentation program of the site as a process, and the ladder around it."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from cestle.anatomy.regions import RegionClass, RegionForm, RegionSource
from cestle.config.node import RegionsSection
from cestle.dicom.study_reader import ReadStudy
from cestle.errors import ConfigError, InputError, NumericalError
from cestle.geometry import Grid
from cestle.measurement import Side, Structure
from cestle.service.process_groups import end_session, group_memory_mib
from cestle.service.region_ladder import climb
from cestle.service.region_plug_in import PlugIn, PlugInError
from cestle.study.inputs import ScalarImage
from node.rig import node_config, wait_until
from reading import shipped_rules
from unit.builders import FRAME, axial_grid, box_region, fields, images_from, study_inputs

CEST = axial_grid()
T1 = Grid(
    shape=(60, 70, 80),  # sagittal, so that no axis is where a program would guess it
    affine=np.array(
        [[2.0, 0.0, 0.0, -59.0], [0.0, 0.0, 2.0, -79.0], [0.0, -2.0, 0.0, 69.0], [0, 0, 0, 1.0]]
    ),
    frame_of_reference_uid=FRAME,
    slice_thickness_mm=2.0,
)

# Labels of FreeSurfer as boxes in RAS millimetres; arguments: T1, labels, what to do.
PROGRAM = """
import sys, time
t1, labels, what = sys.argv[1:4]
if what == "fail":
    print("no licence")
    sys.exit(3)
if what == "sleep":
    import subprocess
    subprocess.run([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
if what == "memory":
    taken = bytearray(300 << 20)
    time.sleep(30)
if what == "nothing":
    sys.exit(0)
import nibabel, numpy
image = nibabel.load(t1)
assert abs(float(image.get_fdata()[3, 4, 5]) - 345.0) < 1e-3, "the T1 is not what was given"
index = numpy.indices(image.shape).reshape(3, -1)
ras = (image.affine[:3, :3] @ index + image.affine[:3, 3:]).reshape(3, *image.shape)
found = numpy.zeros(image.shape, dtype=numpy.uint8)
sign = -1 if what == "swapped" else 1
for label, x, y in ((17, -30, -20), (53, 30, -20), (18, -30, 20), (54, 30, 20)):
    if what == "hippocampi" and label in (18, 54) or what == "one side" and label != 17:
        continue
    centre = numpy.array([sign * x, y, 0.0])[:, None, None, None]
    found[numpy.all(numpy.abs(ras - centre) <= 6.5, axis=0)] = label
nibabel.save(nibabel.Nifti1Image(found, image.affine), labels)
"""


def anatomy():
    """A T1 whose values tell their place: 100 times the column + 10 times the row + the slice."""
    slices, rows, columns = np.indices(T1.shape)
    return ScalarImage(values=100.0 * columns + 10.0 * rows + slices, grid=T1)


@pytest.fixture
def plug_in(tmp_path):
    """Makes the plug-in do something."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)

    def make(what="label", **settings):
        command = (sys.executable, str(program), "{t1}", "{labels}", what)
        known = {"plugin_name": "Boxes", "plugin_version": "1.2", "plugin_scheme": "freesurfer"}
        section = RegionsSection(plugin_command=command, **(known | settings))
        return PlugIn(settings=section, schemes=shipped_rules().label_schemes, scratch=tmp_path)

    return make


def test_the_program_gets_the_t1_and_its_labels_become_regions(plug_in, tmp_path):
    """Boxes of 13 mm at ±30 mm come back there, as class C with tool and digest."""
    regions = plug_in().regions(anatomy())
    assert len(regions) == 4
    for one in regions:
        x = 30.0 if one.side is Side.LEFT else -30.0
        y = 20.0 if one.structure is Structure.HIPPOCAMPUS else -20.0
        assert np.abs(one.centroid_lps_mm - [x, y, 0.0]).max() < 1.1
        assert one.source.region_class is RegionClass.PLUG_IN
        assert one.source.tool == "Boxes 1.2"
        assert len(one.source.digest) == 64
    assert not list(tmp_path.glob("plug-in.*"))
    (tmp_path / "program.py").write_text(PROGRAM + "# changed\n")
    assert plug_in().regions(anatomy())[0].source.digest != regions[0].source.digest


@pytest.mark.parametrize(
    ("what", "settings", "reason"),
    [
        ("fail", {}, "ended with code 3"),
        ("nothing", {}, "wrote no labels"),
        ("sleep", {"plugin_timeout_minutes": 0.01}, "stopped after 0.01 min"),
        ("memory", {"plugin_memory_mb": 128}, "MiB of memory"),
    ],
)
def test_a_program_that_fails_says_why_and_leaves_nothing(
    plug_in, tmp_path, what, settings, reason
):
    """Errors, silence, time and memory; no process of its group outlives it."""
    with pytest.raises(PlugInError, match=reason):
        plug_in(what, **settings).regions(anatomy())
    assert not list(tmp_path.glob("plug-in.*"))
    children = subprocess.run(
        ["/bin/ps", "-o", "args=", "--ppid", str(os.getpid())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "program.py" not in children.stdout


def test_a_program_that_is_not_there_is_named_as_such(plug_in):
    """A command that cannot be started is no crash."""
    made = plug_in()
    absent = made.settings.model_copy(
        update={"plugin_command": ("/nowhere/program", "{t1}", "{labels}")}
    )
    with pytest.raises(PlugInError, match="cannot be started"):
        replace(made, settings=absent).regions(anatomy())


def test_ending_a_session_reaches_groups_of_their_own(tmp_path):
    """What a computing child runs in another group ends with its session."""
    code = (
        "import subprocess, sys, time\n"
        "p = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'],"
        " process_group=0)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid) + '\\n')\n"
        "time.sleep(60)\n"
    )
    leader = subprocess.Popen([sys.executable, "-S", "-c", code], start_new_session=True)
    wait_until(
        lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith("\n"),
        what="the group",
    )
    group = int((tmp_path / "pid").read_text())
    assert group_memory_mib(group) > 1.0
    os.killpg(leader.pid, signal.SIGKILL)
    leader.wait()
    assert group_memory_mib(group) > 1.0
    end_session(leader.pid)
    wait_until(lambda: group_memory_mib(group) == 0.0, what="the end of the group")


# --- the ladder ------------------------------------------------------------------------------


class Maker:
    """Software that draws what it was given, or fails with what it was given."""

    def __init__(self, name, made):
        self.name, self._made, self.calls = name, made, 0

    def regions(self, _):
        """What it was given."""
        self.calls += 1
        if isinstance(self._made, Exception):
            raise self._made
        return self._made


ATLAS = RegionSource(form=RegionForm.ATLAS, creation="automatic", identifier="atlas")
PERSON = RegionSource(form=RegionForm.SEGMENTATION, creation="manual", identifier="1.2.3")


def drawn(source, structures=tuple(Structure), *, swapped=False):
    left_x = -30.0 if swapped else 30.0
    return tuple(
        replace(box_region(T1, structure, side, (x, y, 0.0), (6.5, 6.5, 6.5)), source=source)
        for structure, y in ((Structure.HIPPOCAMPUS, 20.0), (Structure.AMYGDALA, -20.0))
        for side, x in ((Side.LEFT, left_x), (Side.RIGHT, -left_x))
        if structure in structures
    )


def study(regions=(), **changes):
    images = images_from(lambda offset: -1.0 + 0.1 * np.sign(-offset), CEST)
    known = {"anatomy": anatomy(), "missing": (("roi", "none was sent"), ("b1_map", "no B1"))}
    inputs = study_inputs(images, fields(CEST), regions, **(known | changes))
    return ReadStudy(inputs=inputs, sources={}, classified=(), notes=())


def climbed(read, *makers):
    return climb(read, makers, previous=None, progress=lambda _: None).inputs


def classes(inputs):
    return {one.name: str(one.source.region_class) for one in inputs.regions}


def test_without_regions_the_first_software_draws_and_the_second_fills_up(plug_in):
    """HippoDeep-like software knows hippocampi only; the atlas gives the amygdalae."""
    atlas = Maker("the atlas", drawn(ATLAS))
    found = climbed(study(), plug_in("hippocampi"), atlas)
    assert classes(found) == {
        "hippocampus_left": "C", "hippocampus_right": "C",
        "amygdala_left": "D", "amygdala_right": "D",
    }  # fmt: skip
    assert found.missing == (("b1_map", "no B1"),)


@pytest.mark.parametrize("what", ["fail", "swapped", "one side"])
def test_software_that_fails_or_contradicts_the_geometry_is_passed_over(plug_in, what):
    """An error, exchanged sides or a missing side: the next class, and why."""
    found = climbed(study(), plug_in(what), Maker("the atlas", drawn(ATLAS)))
    assert set(classes(found).values()) == {"D"}
    if what != "one side":
        assert any("the plug-in Boxes gave no regions" in note for note in found.region_notes)


def test_what_a_person_drew_is_not_touched():
    """Nothing is drawn beside a complete set, and only what is absent beside a part."""
    atlas = Maker("the atlas", drawn(ATLAS))
    assert set(classes(climbed(study(drawn(PERSON)), atlas)).values()) == {"A"}
    assert atlas.calls == 0
    half = climbed(study(drawn(PERSON, (Structure.HIPPOCAMPUS,))), atlas)
    assert classes(half)["hippocampus_right"] == "A"
    assert classes(half)["amygdala_right"] == "D"
    one_side = drawn(PERSON, (Structure.HIPPOCAMPUS,))[:1]
    assert "hippocampus_right" not in classes(climbed(study(one_side), atlas))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"regions_refused": "the amygdala lies behind"}, "no others take their place"),
        ({"anatomy": None}, "no usable T1"),
    ],
)
def test_nothing_is_drawn_where_it_must_not_be(changes, reason):
    """Refused regions, or no T1: no regions, and the reason."""
    atlas = Maker("the atlas", drawn(ATLAS))
    found = climbed(study(**changes), atlas)
    assert found.regions == ()
    assert atlas.calls == 0
    assert any(reason in note for note in found.region_notes)
    assert ("roi", "none was sent") in found.missing


@pytest.mark.parametrize("fault", [NumericalError("it did not converge"), InputError("no head")])
def test_an_atlas_that_cannot_is_no_crash(fault):
    """Without any regions the study says why."""
    found = climbed(study(), Maker("the atlas", fault))
    assert found.regions == ()
    assert any(str(fault) in note for note in found.region_notes)


def test_exchanged_sides_of_a_maker_are_refused():
    """A maker's regions pass the same checks as those that are sent."""
    found = climbed(study(), Maker("the atlas", drawn(ATLAS, swapped=True)))
    assert found.regions == ()
    assert any("may be swapped" in note for note in found.region_notes)


# --- configuration ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ('plugin_command = ["seg", "{t1}"]', "{labels}"),
        ('plugin_command = ["seg", "{t1}", "{labels}"]', "plugin_name"),
        (
            'plugin_command = ["seg", "{t1}", "{labels}"]\nplugin_name = "Seg"\n'
            'plugin_version = "1"\nplugin_scheme = "gif"\nplugin_timeout_minutes = 15.0',
            "compute_timeout_minutes",
        ),
        ("wait_for_expert_minutes = -1.0", "wait_for_expert_minutes"),
    ],
)
def test_half_a_plug_in_is_no_configuration(tmp_path, keys, fault):
    """What is missing is named."""
    with pytest.raises(ConfigError, match=fault):
        node_config(tmp_path, extra=f"[analysis.regions]\n{keys}\n")
