"""One way to a source for whatever holds features: objects of other libraries, and files by their endings."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from fcfast import validation
from fcfast.sources.anndata import AnnDataSource, source_of_element
from fcfast.sources.arrays import ArraySource, SparseSource
from fcfast.sources.bed import PlinkBed
from fcfast.sources.dask import source_of
from fcfast.sources.files import check_content
from fcfast.sources.hdf5 import Hdf5Source, open_hdf5
from fcfast.sources.matrixmarket import open_matrix_market
from fcfast.sources.protocol import Source
from fcfast.sources.zarr import ZarrSource, open_zarr

DASK = "dask"
ENDINGS = ".bed", ".h5ad", ".h5", ".hdf5", ".zarr", ".mtx", ".mtx.gz"


def as_source(X: Any) -> Source:
    """Give the source that reads an object.

    Parameters
    ----------
    X : Source, ndarray, sparse matrix, h5py.Dataset, zarr.Array, anndata.AnnData, dask.array.Array
        Samples by features. A sparse matrix that AnnData has opened in a file is read from there, too.

    Returns
    -------
    Source

    Raises
    ------
    TypeError
        If X is nothing of this, or holds no real numbers. A path is opened by `open_source`.
    ValueError
        If X is not two-dimensional.

    Examples
    --------
    >>> import numpy as np
    >>> from fcfast.sources import as_source
    >>> as_source(np.ones((2, 3)))
    ArraySource(2 samples x 3 features, float64)
    """
    if isinstance(X, Source):
        return X
    if sparse.issparse(X):
        held: Any = X
        check_content("X", held.shape, held.dtype)
        validation.refuse_malformed(held)
        return SparseSource(held)
    if isinstance(X, np.ndarray):
        check_content("X", X.shape, X.dtype)
        return ArraySource(validation.unmasked(X, "X"))
    # The library that an object belongs to is known by its type's name: nothing has to be imported to find out.
    library, kind = library_of(X), type(X).__name__
    if library == DASK:
        return source_of(X)
    if library == "h5py" and kind == "Dataset":
        return Hdf5Source(X)
    if library == "zarr" and kind == "Array":
        return ZarrSource(X)
    if library == "anndata":
        if hasattr(X, "var_names"):
            return AnnDataSource(X)
        if hasattr(X, "group"):  # a sparse matrix in a file
            return source_of_element(X.group)
    hint = "; open a file with fcfast.sources.open_source(path)" if isinstance(X, (str, os.PathLike)) else ""
    raise TypeError(
        "X must be a Source, an array, a SciPy sparse matrix, an h5py.Dataset, a zarr.Array, a dask array or an AnnData "
        f"object, got {type(X).__module__}.{kind}{hint}"
    )


def library_of(X: Any) -> str:
    """Name the library that an object belongs to."""
    return type(X).__module__.partition(".")[0]


def source_in(X: Any) -> Source | None:
    """Give the source of samples that scikit-learn would load into memory; None for arrays, matrices, tables and lists.

    Raises
    ------
    TypeError, ValueError
        If X belongs to dask, but is no array that can be read by blocks.
    """
    if library_of(X) == DASK:
        return source_of(X)  # scikit-learn would gather whatever it is
    if library_of(X) == "xarray" and getattr(X, "chunks", None) is not None:
        raise TypeError(f"X is an xarray {type(X).__name__} in chunks of dask; give its dask array, X.data")
    if isinstance(X, (np.ndarray, list, tuple)) or sparse.issparse(X) or hasattr(X, "iloc"):
        return None
    try:
        return as_source(X)
    except TypeError:
        return None  # scikit-learn will say what is wrong


def open_source(
    path: "str | os.PathLike[str]", *, layer: str | None = None, dataset: str | None = None, transpose: bool = False
) -> Source:
    """Open a file or folder, whose ending says what it is.

    Parameters
    ----------
    path : str or path-like
        A file .bed (PLINK, with .bim and .fam beside it), .h5ad (AnnData), .h5 or .hdf5 (HDF5), .mtx or .mtx.gz (Matrix
        Market), or a folder .zarr (an array, a group of arrays, or AnnData).
    layer : str, optional
        Layer of AnnData; its X if it is left out.
    dataset : str, optional
        Name of the matrix in an HDF5 file or a zarr group. It may be left out if there is only one.
    transpose : bool, default=False
        Whether the rows of a Matrix Market file are features, as in files from 10x.

    Returns
    -------
    Source

    Raises
    ------
    ImportError
        If the library that reads the file is not installed. The message names the extra that brings it.
    FileNotFoundError
        If there is no such file.
    ValueError
        If the ending is unknown, an option does not belong to this kind of file, the file is damaged, or it has several
        matrices and none is chosen.
    KeyError
        If the file has no such layer or dataset.
    TypeError
        If the matrix holds no real numbers.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import h5py
    >>> import numpy as np
    >>> from fcfast.sources import open_source
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = Path(folder.name, "expression.h5")
    >>> with h5py.File(path, "w") as file:
    ...     file["study/values"] = np.ones((2, 3), "float32")
    >>> open_source(path)
    Hdf5Source(2 samples x 3 features, float32)
    >>> folder.cleanup()
    """
    path = Path(path)
    name = path.name.lower()
    ending = next((ending for ending in ENDINGS if name.endswith(ending)), None)
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if ending is None:
        raise ValueError(f"{path} has none of the endings that say what a file is: {', '.join(ENDINGS)}")
    is_anndata = ending == ".h5ad" or (ending == ".zarr" and dataset is None and _is_anndata(path))
    for option, value, fits in (
        ("layer", layer, is_anndata),
        ("dataset", dataset, ending in (".h5", ".hdf5", ".zarr")),
        ("transpose", transpose, ending in (".mtx", ".mtx.gz")),
    ):
        if value not in (None, False) and not fits:
            raise ValueError(f"{option}={value!r} means nothing for {path}; leave it out")
    if is_anndata:
        return AnnDataSource(path, layer)
    if ending == ".bed":
        return PlinkBed(path)
    if ending == ".zarr":
        return open_zarr(path, dataset)
    if ending in (".h5", ".hdf5"):
        return open_hdf5(path, dataset)
    return open_matrix_market(path, transpose=transpose)


def _is_anndata(path: Path) -> bool:
    """Tell whether AnnData has written a zarr folder."""
    return (path / "obs").is_dir() and (path / "var").is_dir()
