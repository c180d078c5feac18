"""Genotypes in PLINK files (.bed, .bim, .fam), by bed-reader."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.sources.files import FileSource, FileState, needs
from fcfast.sources.protocol import Rows
from fcfast.threads import resolve_n_jobs

Array = NDArray[Any]

HEADER = 3  # bytes: two that mark the format, and one that says whether variants or samples lie together
MAGIC, BY_VARIANTS, BY_SAMPLES = b"l\x1b", b"\x01", b"\x00"
MISSING_CALL = -127  # bed-reader's, in int8
READ_AGAIN = "_names", "chromosomes", "positions"  # ends of the names of what is left out of pickles
MISSING = {"-9", "NA", "nan", "NaN", ""}  # phenotypes; 0 is missing, too, where cases are 2 and controls 1


class PlinkBed(FileSource):
    """Genotypes of samples by variants: how many copies of an allele (0, 1 or 2) each sample has.

    Blocks are int8. A block with missing calls is float32 with NaN in their place, so that train on such data with
    ``missing="mean"``.

    Parameters
    ----------
    path : str or path-like
        The .bed file. The .bim and .fam files beside it have the same name.
    count_A1 : bool, default=True
        Whether copies of allele 1 of the .bim file are counted, as bed-reader does by default, or of allele 2.

    Attributes
    ----------
    feature_names : list of str
        The names of the variants in the .bim file, which is read when they are first asked for.
    sample_names : list of str
        The individuals in the .fam file (their IID).

    Raises
    ------
    ImportError
        If bed-reader is not installed.
    FileNotFoundError
        If one of the three files does not exist.
    ValueError
        If the .bed file is in another format, or its size does not fit the numbers of samples and variants.
    RuntimeError
        While reading, if the .bed file was changed since the source was made.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from bed_reader import to_bed
    >>> from fcfast.sources import PlinkBed
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "people.bed")
    >>> names = {"iid": ["ann", "bob"], "sid": ["rs1", "rs2", "rs3"], "pheno": ["1.5", "-9"]}
    >>> to_bed(path, np.array([[0, 1, 2], [2, np.nan, 0]]), properties=names)
    >>> source = PlinkBed(path)
    >>> source
    PlinkBed(2 samples x 3 features, int8)
    >>> source.sample_names, source.feature_names
    (['ann', 'bob'], ['rs1', 'rs2', 'rs3'])
    >>> source.read(slice(2, 3)).tolist(), source.read(slice(0, 3)).tolist()
    ([[2], [0]], [[0.0, 1.0, 2.0], [2.0, nan, 0.0]])
    >>> source[[0]].read(slice(0, 3))
    array([[0, 1, 2]], dtype=int8)
    >>> source.phenotype(missing="nan")
    array([1.5, nan])
    >>> folder.cleanup()
    """

    def __init__(self, path: "str | os.PathLike[str]", *, count_A1: bool = True) -> None:
        self.state = FileState(path)
        self.count_A1 = count_A1
        self._of_samples, self._of_variants = (self._beside(end) for end in (".fam", ".bim"))
        self._bed: Any = None
        _bed_reader(self.path)
        self.shape, self.dtype = (_count_lines(self._of_samples.path), _count_lines(self._of_variants.path)), np.dtype(np.int8)
        self._check_size()

    def _beside(self, end: str) -> FileState:
        path = Path(self.path).with_suffix(end)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path} does not exist, but PLINK files come in three: {self.path} needs a .fam file with its samples and a "
                ".bim file with its variants beside it; copy them there"
            )
        return FileState(path)

    def _check_size(self) -> None:
        n_samples, n_variants = self.shape
        with open(self.path, "rb") as file:
            header = file.read(HEADER)
        if header[:2] != MAGIC or header[2:] not in (BY_VARIANTS, BY_SAMPLES):
            raise ValueError(f"{self.path} is no PLINK 1 .bed file: it begins with {header!r}")
        along, across = (n_samples, n_variants) if header[2:] == BY_VARIANTS else (n_variants, n_samples)
        expected, size = HEADER + across * -(-along // 4), self.state.seen[0]
        if size != expected:
            reason = "it was cut off" if size < expected else "the three files do not belong together"
            raise ValueError(
                f"{self.path} has {size} bytes, but {n_samples} samples in the .fam file and {n_variants} variants in the .bim "
                f"file take {expected}; {reason}"
            )

    def read_columns(self, start: int, stop: int) -> Array:
        """Read the features start..stop-1 of all samples."""
        return self.read_rows(start, stop, slice(None))

    def read_rows(self, start: int, stop: int, rows: Rows) -> Array:
        """Read the features start..stop-1 of some samples; bed-reader decodes these alone."""
        if self._bed is None:
            # The counts are known, so that bed-reader need not read the text files.
            self._bed = _bed_reader(self.path).open_bed(self.path, *self.shape, count_A1=self.count_A1)
        with self.state.decoding():
            block = self._bed.read((rows, slice(start, stop)), dtype="int8", num_threads=resolve_n_jobs(None))
        missing = block == MISSING_CALL
        if not missing.any():
            return block
        dosages = block.astype(np.float32)
        dosages[missing] = np.nan
        return dosages

    @cached_property
    def feature_names(self) -> list[str]:  # type: ignore[override]  # read when first asked for: there may be millions
        """The names of the variants."""
        return self._column(self._of_variants, 1)

    @cached_property
    def sample_names(self) -> list[str]:  # type: ignore[override]  # as above
        """The names of the individuals."""
        return self._column(self._of_samples, 1)

    @cached_property
    def chromosomes(self) -> list[str]:
        """The chromosomes of the variants."""
        return self._column(self._of_variants, 0)

    @cached_property
    def positions(self) -> NDArray[np.int64]:
        """The positions of the variants in their chromosomes, in base pairs."""
        return np.array(self._column(self._of_variants, 3), np.int64)

    def phenotype(self, missing: str = "error") -> NDArray[Any]:
        """Give the phenotypes in the .fam file as a target.

        -9 and NA are missing. If all others are 1 (control), 2 (case) and 0, 0 is missing, too, as in PLINK.

        Parameters
        ----------
        missing : {"error", "nan"}, default="error"
            What to do if a phenotype is missing: raise, or give NaN (of numbers) or None (of names).

        Returns
        -------
        ndarray of shape (N,)
            Integers of cases and controls, floats of other numbers, text (dtype object) of anything else.

        Raises
        ------
        ValueError
            If a phenotype is missing and `missing` is "error".
        """
        if missing not in ("error", "nan"):
            raise ValueError(f"missing must be 'error' or 'nan', got {missing!r}")
        found = self._column(self._of_samples, 5)
        is_case_control = set(found) - MISSING <= {"0", "1", "2"} and bool(set(found) & {"1", "2"})
        unknown = np.array([value in MISSING or (is_case_control and value == "0") for value in found], bool)
        if unknown.any() and missing == "error":
            first = self.sample_names[int(unknown.argmax())]
            raise ValueError(
                f"{self._of_samples.path} has no phenotype (-9, NA{', 0' if is_case_control else ''}) for {unknown.sum()} of "
                f"{len(found)} samples, {first!r} is the first; take the others: y = source.phenotype(missing='nan'), "
                "known = pandas.notna(y), source[known], y[known]"
            )
        try:
            numbers = np.array([np.nan if skip else float(value) for skip, value in zip(unknown, found, strict=True)])
        except ValueError:
            return np.array([None if skip else value for skip, value in zip(unknown, found, strict=True)], dtype=object)
        return numbers.astype(np.int64) if is_case_control and not unknown.any() else numbers

    def _column(self, state: FileState, place: int) -> list[str]:
        """Read a column of the .fam or .bim file."""
        state.check()
        with open(state.path, encoding="utf-8") as file:
            lines = [line.split(maxsplit=place + 1) for line in file]
        if short := next((number for number, line in enumerate(lines, 1) if len(line) <= place), None):
            raise ValueError(f"{state.path} has no column {place + 1} in line {short}")
        return [line[place] for line in lines]

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open file, and what can be read again."""
        return {name: held for name, held in self.__dict__.items() if not name.endswith(READ_AGAIN)} | {"_bed": None}


def _bed_reader(path: str) -> Any:
    try:
        import bed_reader
    except ImportError as error:
        raise ImportError(needs(f"reading {path}", "bed-reader", "bed")) from error
    return bed_reader


def _count_lines(path: str) -> int:
    """Count lines, the last of which may lack its end."""
    count, last = 0, b"\n"
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            count, last = count + block.count(b"\n"), block[-1:]
    return count + (last != b"\n")
