"""The choice of the faster number of threads, by the measured time of epochs."""

import math
from time import perf_counter

ALONE = 0.03  # seconds with one thread at first, because waiting OpenMP threads disturb other threads for milliseconds
PATIENCE = 20  # time before the slower number is tried again, relative to the time of its last epoch


class Pace:
    """A choice between several threads and one, which give the same bits.

    Sharing steps of a tenth of a millisecond pays as long as there are processors for all threads. If another process keeps one
    busy, threads that wait for each other take up to a hundred times as long as one thread (measured on two cores).

    Parameters
    ----------
    n_threads : int
        Largest number of threads.

    Examples
    --------
    >>> from fcfast.training.pace import Pace
    >>> pace = Pace(2)
    >>> pace.note(1, seconds=0.5, n_steps=10)
    >>> pace.note(2, seconds=0.9, n_steps=10)
    >>> pace.threads()
    1
    """

    def __init__(self, n_threads: int) -> None:
        self.seconds = {n_threads: math.inf, 1: 0.0}  # of a step, when last measured
        self.due = perf_counter() + ALONE  # when the slower number is tried again

    @property
    def fastest(self) -> int:
        """Threads that were the faster when last measured."""
        return min(self.seconds, key=lambda n_threads: self.seconds[n_threads])

    def threads(self) -> int:
        """Choose for an epoch."""
        others = self.seconds.keys() - {self.fastest}
        return others.pop() if others and perf_counter() >= self.due else self.fastest

    def note(self, n_threads: int, seconds: float, n_steps: int) -> None:
        """Note what an epoch took."""
        self.seconds[n_threads] = seconds / max(n_steps, 1)
        if n_threads != self.fastest:
            self.due = perf_counter() + PATIENCE * seconds
