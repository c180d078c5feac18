"""Chunks that count how often they are made and how many are in memory, in any process, and may end theirs once."""

import os
import signal
import weakref
from pathlib import Path

import dask.array as da
import numpy as np

ALIVE = 0  # chunks in the memory of this process


class Counted:
    """Makes chunks of an array, and notes each in a file: the process, its place, and how many chunks are in memory.

    Parameters
    ----------
    array : ndarray of shape (N, d)
    folder : path-like
    deadly : int or None
        Feature of the chunk whose first making kills the process.
    """

    def __init__(self, array, folder, deadly=None):
        self.array, self.folder, self.deadly = array, str(folder), deadly

    def __call__(self, block, block_info=None):
        global ALIVE
        (rows, columns) = block_info[None]["array-location"]
        chunk = np.array(self.array[slice(*rows), slice(*columns)])
        ALIVE += 1
        weakref.finalize(chunk, _gone)
        with open(Path(self.folder, "made"), "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {rows[0]} {columns[0]} {ALIVE}\n")
        if self.deadly == columns[0]:
            try:
                Path(self.folder, "killed").touch(exist_ok=False)
            except FileExistsError:
                return chunk
            os.kill(os.getpid(), signal.SIGKILL)
        return chunk


def _gone():
    global ALIVE
    ALIVE -= 1


def counted(array, chunks, folder, deadly=None):
    """Give a dask array of these chunks."""
    places = da.zeros(array.shape, chunks=chunks, dtype=array.dtype)
    return places.map_blocks(Counted(array, folder, deadly), dtype=array.dtype, meta=array[:0, :0])


def made(folder):
    """Give (process, row, column, chunks in memory) of each chunk that was made."""
    lines = Path(folder, "made").read_text(encoding="utf-8").splitlines()
    return [tuple(map(int, line.split())) for line in lines]
