"""What an installation of the product takes on the disk, with all that it depends on."""

import re
from importlib import metadata

from packaging.requirements import Requirement

_LARGEST = 4


def lines():
    """Number of distributions, their size, and the largest of them."""
    sizes = {name: _bytes(found) for name, found in _closure("cestle").items()}
    yield f"{len(sizes)} distributions, {sum(sizes.values()) / 1e6:.0f} MB"
    largest = sorted(sizes, key=sizes.get, reverse=True)[:_LARGEST]
    yield "largest: " + ", ".join(f"{name} {sizes[name] / 1e6:.0f} MB" for name in largest)


def _closure(name, extras=("",)):
    """The distribution and everything that it needs, by name."""
    found, looked_at, waiting = {}, set(), [(name, extras)]
    while waiting:
        name, extras = waiting.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if (key, extras) in looked_at:
            continue
        looked_at.add((key, extras))
        found[key] = metadata.distribution(name)
        for text in found[key].requires or ():
            need = Requirement(text)
            if need.marker is None or any(need.marker.evaluate({"extra": one}) for one in extras):
                waiting.append((need.name, ("", *need.extras) if need.extras else ("",)))
    return found


def _bytes(distribution):
    places = (file.locate() for file in distribution.files or ())
    return sum(place.stat().st_size for place in places if place.is_file())
