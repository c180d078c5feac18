"""Matrix Market files (.mtx, .mtx.gz), and the names that the 10x layout has in files beside them."""

import gzip
import os
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from scipy import io, sparse

from fcfast.sources.arrays import ArraySource, SparseSource
from fcfast.sources.files import check_content
from fcfast.sources.protocol import Source

# A sparse array, which newer versions of SciPy ask to choose and older ones cannot give.
AS_ARRAY: dict[str, Any] = {"spmatrix": False} if "spmatrix" in signature(io.mmread).parameters else {}
OF_ROWS, OF_COLUMNS = ("features", "genes"), ("barcodes",)  # 10x's names of the files; its rows are genes, its columns cells


def open_matrix_market(path: "str | os.PathLike[str]", *, transpose: bool = False) -> Source:
    """Read a Matrix Market file into memory.

    The files ``barcodes.tsv`` and ``features.tsv`` (or ``genes.tsv``) beside ``matrix.mtx``, any of them with ``.gz`` or with
    the prefix of the matrix's own name, give the names of cells and genes if they have as many lines: the first column counts.

    Parameters
    ----------
    path : str or path-like
        A file .mtx or .mtx.gz.
    transpose : bool, default=False
        Whether the rows of the file are features, as in files from 10x, and not samples.

    Returns
    -------
    SparseSource or ArraySource

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is damaged or cut off.
    TypeError
        If the values are complex.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from fcfast.sources import open_matrix_market
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "matrix.mtx")
    ...     _ = path.write_text("%%MatrixMarket matrix coordinate integer general\\n3 2 2\\n1 1 5\\n3 2 7\\n")
    ...     _ = Path(folder, "barcodes.tsv").write_text("AAAC\\nAAAG\\n")
    ...     source = open_matrix_market(path, transpose=True)
    >>> source.read(slice(0, 3)).toarray()
    array([[5, 0, 0],
           [0, 0, 7]])
    >>> source.sample_names
    ['AAAC', 'AAAG']
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        matrix = io.mmread(path, **AS_ARRAY)
    except (ValueError, EOFError, OSError, OverflowError) as error:
        raise ValueError(f"{path} cannot be read as a Matrix Market file, it may be damaged or cut off: {error}") from error
    check_content(f"the matrix in {path}", matrix.shape, matrix.dtype)
    names = [_names(path, kinds, size) for kinds, size in zip((OF_ROWS, OF_COLUMNS), matrix.shape, strict=True)]
    if names == [None, None]:  # a file of cells by genes
        names = [_names(path, kinds, size) for kinds, size in zip((OF_COLUMNS, OF_ROWS), matrix.shape, strict=True)]
    if transpose:
        matrix, names = matrix.T, names[::-1]
    source = SparseSource(sparse.csc_array(matrix)) if sparse.issparse(matrix) else ArraySource(np.asarray(matrix))
    source.sample_names, source.feature_names = names
    return source


def _names(path: Path, kinds: tuple[str, ...], size: int) -> list[str] | None:
    """Give the first column of the first such file beside the matrix that has `size` lines."""
    stem = path.name.removesuffix(".gz").removesuffix(".mtx")
    prefix = stem.removesuffix("matrix") if stem.endswith("matrix") else f"{stem}_"
    for kind in kinds:
        for beside in (path.with_name(f"{prefix}{kind}.tsv"), path.with_name(f"{prefix}{kind}.tsv.gz")):
            if beside.is_file():
                with (gzip.open if beside.suffix == ".gz" else open)(beside, "rt", encoding="utf-8") as file:
                    names = [line.rstrip("\r\n").split("\t")[0] for line in file]
                if len(names) == size:
                    return names
    return None
