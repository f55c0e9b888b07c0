"""Heartbeats: what a receiver counts, in a small file that its node reads.

A receiver is a process of its own, and there may be several. Each writes its counts every second
to `data_dir/run`; the node sums them for its metrics and sees in them that a receiver lives. The
counts of one that died stay, so that sums never fall; the files are removed at the next start.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

BEAT_SECONDS: Final = 1.0
DEAD_AFTER_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class Heartbeat:
    """What one receiver has to say.

    Parameters
    ----------
    time
        When it was written [s since the epoch].
    listening
        Whether it accepts connections.
    port
        Where.
    active, accepted
        Associations under way, and accepted so far.
    refused
        Associations and connections turned away, by reason.
    arrivals
        Instances kept, by what the journal knew of them: new, repeated, conflicting.
    refusals
        Instances answered with another status than Success, by status.
    audit_pending, audit_lost
        Audit entries that could not be written yet, and that had to be given up.
    """

    time: float
    listening: bool = False
    port: int = 0
    active: int = 0
    accepted: int = 0
    refused: Mapping[str, int] = field(default_factory=dict)
    arrivals: Mapping[str, int] = field(default_factory=dict)
    refusals: Mapping[str, int] = field(default_factory=dict)
    audit_pending: int = 0
    audit_lost: int = 0

    def alive(self, now: float) -> bool:
        """Whether it is recent; a clock that was set back does not kill."""
        return abs(now - self.time) < DEAD_AFTER_SECONDS

    def write(self, file: Path) -> None:
        """Replace `file`; the folder is made when absent.

        Raises
        ------
        OSError
            When it cannot be written.
        """
        file.parent.mkdir(mode=0o700, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)), encoding="ascii")
        part.replace(file)


@dataclass(frozen=True, kw_only=True)
class Reception:
    """The heartbeats of all receivers of a node, summed.

    Parameters
    ----------
    alive
        Receivers that live and listen.
    active
        Associations under way.
    accepted, refused, arrivals, refusals, audit_pending, audit_lost
        As in `Heartbeat`, since the start of the node.
    """

    alive: int
    active: int
    accepted: int
    refused: Mapping[str, int]
    arrivals: Mapping[str, int]
    refusals: Mapping[str, int]
    audit_pending: int
    audit_lost: int


def add_up(beats: Iterable[Heartbeat], *, now: float | None = None) -> Reception:
    """The sum of heartbeats; only living receivers count as alive and active."""
    beats = tuple(beats)
    at = time.time() if now is None else now
    living = [one for one in beats if one.alive(at)]
    return Reception(
        alive=sum(one.listening for one in living),
        active=sum(one.active for one in living),
        accepted=sum(one.accepted for one in beats),
        refused=_sum(one.refused for one in beats),
        arrivals=_sum(one.arrivals for one in beats),
        refusals=_sum(one.refusals for one in beats),
        audit_pending=sum(one.audit_pending for one in living),
        audit_lost=sum(one.audit_lost for one in beats),
    )


def read_heartbeats(folder: Path) -> tuple[Heartbeat, ...]:
    """All heartbeats in a folder; one that cannot be read is left out."""
    found = []
    for file in sorted(folder.glob("receiver-*.json")):
        with suppress(OSError, ValueError, TypeError):
            found.append(Heartbeat(**json.loads(file.read_text(encoding="ascii"))))
    return tuple(found)


def forget_heartbeats(folder: Path) -> None:
    """Remove what an earlier run left."""
    for file in folder.glob("receiver-*"):
        file.unlink(missing_ok=True)


def _sum(counts: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)
