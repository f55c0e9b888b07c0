"""A site's table of the built-in atlas against the shipped one, on people it was not fitted on.

The heads are those of `atlas`: label maps with a T1 made of them. Four are fewer than `cestle
roi-calibrate` takes, so the fit is called itself; each table here is that of three people. The
shipped table was measured from 18 heads with these four among them, so the first row favours it.
The other rows are of sites that draw otherwise: one voxel less all around, or one more.
"""

import time
from dataclasses import replace

from scipy.ndimage import binary_dilation, binary_erosion

from atlas_cases import true_regions
from benchmarks.atlas import DATA, HEADS, _head, _t1
from cestle.anatomy.atlas import fit_and_judge, follow_head, labelled_lobes
from cestle.config.atlas import load_atlas_template

PROTOCOLS = {
    "as labelled": lambda inside: inside,
    "one voxel less all around": binary_erosion,
    "one voxel more all around": binary_dilation,
}


def lines():
    """Dice of hippocampus and amygdala by the site's table and by the shipped one."""
    if not DATA.is_dir():
        yield "the labelled heads (shared/data beside the checkout) are not on this machine"
        return
    template = load_atlas_template()
    heads, begin = [], time.process_time()
    for number in HEADS:
        head = _head(number)
        heads.append((true_regions(head), follow_head(_t1(head, number), head.grid, template)))
    aligned = time.process_time() - begin
    for name, drawn in PROTOCOLS.items():
        people = [labelled_lobes(_as_drawn(regions, drawn), warp) for regions, warp in heads]
        begin = time.process_time()
        fitted = fit_and_judge(people, template.model)
        seconds = time.process_time() - begin
        words = ", ".join(
            f"{structure} {fitted.overlap[structure]:.3f} (shipped {before:.3f})"
            for structure, before in fitted.overlap_before.items()
        )
        yield f"{name:<28}{words}"
    yield f"alignment {aligned / len(heads):.1f} s a head, last fit {seconds:.1f} s, of one core"


def _as_drawn(regions, drawn):
    return [
        replace(one, fraction=drawn(one.fraction > 0.5).astype(float)) for one in regions.values()
    ]
