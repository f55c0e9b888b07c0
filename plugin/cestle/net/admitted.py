"""The associations that were admitted, counted over all receiving processes of the node.

Only these count against the limit: the library counts every connection of one process, so that
strangers could take the places of peers, and each process would have a limit of its own.
"""

import mmap
import threading
from dataclasses import dataclass

from pynetdicom.association import Association


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many associations each process has, in memory that they share.

    Parameters
    ----------
    counts
        One byte for each process.
    place
        Which of them is ours.
    """

    counts: mmap.mmap | bytearray
    place: int

    @classmethod
    def alone(cls) -> "Tally":
        """The tally of a process that shares with nobody."""
        return cls(counts=bytearray(1), place=0)

    @classmethod
    def shared(cls, file: int, *, place: int, of: int) -> "Tally":
        """The tally in an open file, which all processes map."""
        return cls(counts=mmap.mmap(file, of), place=place)

    def state(self, number: int) -> None:
        """Say how many associations this process has."""
        self.counts[self.place] = number

    def total(self) -> int:
        """How many associations all processes have."""
        return sum(self.counts[:])


class Admitted:
    """The admitted associations of this process.

    Parameters
    ----------
    maximum
        How many there may be at a time in all processes. Two that admit at the same instant can
        pass it by one.
    tally
        Counts those of all processes.
    """

    def __init__(self, maximum: int, tally: Tally) -> None:
        self._maximum = maximum
        self._tally = tally
        self._lock = threading.Lock()
        self._members: set[Association] = set()
        tally.state(0)

    def add(self, association: Association) -> bool:
        """Admit `association`; False when there is no place."""
        with self._lock:
            if self._tally.total() >= self._maximum:
                return False
            self._members.add(association)
            self._tally.state(len(self._members))
            return True

    def remove(self, association: Association) -> None:
        """Note that `association` has ended; harmless when it was not admitted."""
        with self._lock:
            self._members.discard(association)
            self._tally.state(len(self._members))

    def count(self) -> int:
        """How many this process has."""
        return len(self._members)

    def __contains__(self, association: object) -> bool:
        return association in self._members
