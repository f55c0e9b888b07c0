"""Volume inside the skull by atlas scaling: its error, what is refused, and the time it takes.

The truth of the labelled heads are the voxels inside the skull, the T1 are made of the labels. The
truth of the real heads is another program's brain mask (HippoDeep), not a person's. An error of a
cut head is held against the same head uncut as well: what the cut adds is the limit's business.
"""

import time
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from atlas_cases import OUTSIDE_FROM, stripped
from benchmarks.atlas import DATA, HEADS, OUTLIER, REAL
from cestle.anatomy.atlas import intracranial_volume
from cestle.config.atlas import load_atlas_template
from cestle.errors import CestleError
from t1 import labelled_head, t1_of, volume

SHADINGS = (0.0, 0.3, 0.4)
STRONG = (0.15, 0.6)
"""Fluid and grey as shares of white matter, darker than usual."""
NOISY = 0.08
CUTS_MM = (5.0, 10.0, 20.0)
SCALES = (0.94, 1.06)


def lines():
    """Labelled heads, real ones, scaled and cut ones, and what is no head."""
    if not DATA.is_dir():
        yield "the labelled heads (shared/data beside the checkout) are not on this machine"
        return
    template = load_atlas_template()
    errors = []
    for number in (*HEADS, OUTLIER):
        head = labelled_head(DATA / f"synthseg-label-maps/training_seg_{number}.nii.gz")
        inside = np.count_nonzero((head.labels > 0) & (head.labels < OUTSIDE_FROM))
        truth = inside * head.grid.voxel_volume_mm3
        cases = {
            f"shading {shading}": t1_of(head, 100 * place + int(number), shading=shading)
            for place, shading in enumerate(SHADINGS)
        }
        cases["strong contrast"] = t1_of(head, int(number), shading=0.4, contrast=STRONG)
        cases["noise 8 %"] = t1_of(head, int(number), shading=0.4, noise=NOISY)
        cases["without skull"] = stripped(head, t1_of(head, int(number), shading=0.4))
        found = {name: _error(t1, head.grid, truth, template) for name, t1 in cases.items()}
        errors += [one for one in found.values() if isinstance(one, float)]
        yield f"labelled head {number}: " + ", ".join(map(_words, found, found.values()))
    yield (
        f"all {len(errors)} that were not refused: mean {np.mean(errors):+.1f} %, "
        f"standard deviation {np.std(errors, ddof=1):.1f}, "
        f"from {min(errors):+.1f} to {max(errors):+.1f} %"
    )
    for name, (path, _, mask) in REAL.items():
        values, grid = volume(DATA / path)
        brain, place = volume(DATA / mask)
        yield from _real_rows(name, values, grid, (brain > 0, place), template)
    yield from _no_heads(template)


def _real_rows(name, values, grid, brain, template):
    mask, place = brain
    truth = np.count_nonzero(mask) * place.voxel_volume_mm3
    begun = time.process_time()
    whole = _error(values, grid, truth, template)
    seconds = time.process_time() - begun
    scaled = {
        f"voxels {scale} times": _error(values, _scaled(grid, scale), truth * scale**3, template)
        for scale in SCALES
    }
    yield (
        f"real head {name}: {_words('whole', whole)}, "
        f"{', '.join(map(_words, scaled, scaled.values()))}; {seconds:.1f} s of one core"
    )
    edge = place.to_lps(np.argwhere(mask).astype(float))
    for words, axis, sign in (
        ("foot", 2, -1.0),
        ("vertex", 2, 1.0),
        ("left", 0, 1.0),
        ("front", 1, -1.0),
    ):
        border = float(np.quantile(sign * edge[:, axis], 0.9998))
        cuts = {}
        for millimetres in CUTS_MM:
            cut = _cut(values, grid, axis, sign, border - millimetres)
            cuts[f"{millimetres:g} mm"] = _error(*cut, truth, template)
        yield f"  without its {words}: " + ", ".join(map(_words, cuts, cuts.values()))
    middle = _cut(values, grid, 0, 1.0, float(edge[:, 0].mean()))
    yield f"  right half alone: {_words('', _error(*middle, truth, template))}"


def _no_heads(template):
    """Noise, bottles, and heads whose axes are not those of the patient."""
    values, grid = volume(DATA / REAL["example, 1.75 mm"][0])
    generator = np.random.default_rng(1)
    noise = generator.standard_normal(grid.shape)
    middle = grid.to_lps((np.array(grid.shape) - 1.0) / 2.0)
    index = np.argwhere(np.ones(grid.shape, dtype=bool)).astype(float)
    away = (grid.to_lps(index) - middle).reshape(*grid.shape, 3)
    dark = 10.0 * np.abs(noise)
    egg = np.linalg.norm(away / (68.0, 80.0, 68.0), axis=-1) < 1.0
    can = (np.hypot(away[..., 0], away[..., 1]) < 70.0) & (np.abs(away[..., 2]) < 70.0)
    cases = {
        "white noise": np.abs(noise),
        "noise of 5 mm": np.abs(gaussian_filter(noise, 3.0)),
        "noise of 18 mm": np.abs(gaussian_filter(noise, 10.0)),
        "an even ellipsoid": 800.0 * egg + dark,
        "an ellipsoid of noise": egg * (500.0 + 3000.0 * gaussian_filter(noise, 2.0)) + dark,
        "a bottle": 800.0 * can + dark,
    }
    for name, image in cases.items():
        yield f"{name}: {_answer(image, grid, template)}"
    for name, matrix in (
        ("head upside down", np.diag([1.0, 1.0, -1.0, 1.0])),
        ("back called front", np.diag([1.0, -1.0, 1.0, 1.0])),
        ("foot called back", np.eye(4)[[0, 2, 1, 3]]),
        ("left called front", np.eye(4)[[1, 0, 2, 3]]),
    ):
        turned = replace(grid, affine=matrix @ grid.affine)
        yield f"{name}: {_answer(values, turned, template)}"


def _scaled(grid, scale):
    affine = grid.affine.copy()
    affine[:3] *= scale
    return replace(grid, affine=affine, slice_thickness_mm=grid.slice_thickness_mm * scale)


def _cut(values, grid, axis, sign, most_mm):
    """The T1 as far as `sign` times its LPS coordinate stays below a number."""
    cosines = np.abs(grid.affine[axis, :3]) / np.array(grid.spacing_mm)
    along = int(np.argmax(cosines))
    index = np.tile((np.array(grid.shape) - 1.0) / 2.0, (grid.shape[along], 1))
    index[:, along] = np.arange(grid.shape[along])
    kept = np.flatnonzero(sign * grid.to_lps(index)[:, axis] < most_mm)
    affine = grid.affine.copy()
    affine[:3, 3] += kept[0] * affine[:3, along]
    part = np.take(values, kept, along)
    return part, replace(grid, shape=part.shape, affine=affine)


def _error(values, grid, truth, template):
    """Error in percent, or the words of the refusal."""
    try:
        return 100.0 * (intracranial_volume(values, grid, template) / truth - 1.0)
    except CestleError as refusal:
        return str(refusal)


def _answer(values, grid, template):
    found = _error(values, grid, 1e6, template)
    return f"REFUSED, {found}" if isinstance(found, str) else f"{1.0 + found / 100.0:.2f} l"


def _words(name, error):
    text = "refused" if isinstance(error, str) else f"{error:+.1f} %"
    return f"{name} {text}".strip()
