"""AnnData: annotated matrices of cells by genes, in memory or in .h5ad files and zarr folders."""

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fcfast.sources.arrays import ArraySource, SparseSource
from fcfast.sources.compressed import open_compressed
from fcfast.sources.files import check_content, needs
from fcfast.sources.hdf5 import Hdf5Handle, Hdf5Source, is_dataset, names_in
from fcfast.sources.protocol import Rows, Source
from fcfast.sources.zarr import ZarrHandle, ZarrSource


class AnnDataSource(Source):
    """The matrix of an AnnData object, cells by genes, with their names.

    A file is never read as a whole. A dense matrix and one by columns (CSC) are read in blocks of columns. One by rows (CSR),
    which is the usual layout, is held in memory by columns if it is small (64 MiB), and else sorted by columns into a temporary
    file when it is first read; that file is about as large as the uncompressed matrix.

    Parameters
    ----------
    data : anndata.AnnData, str or path-like
        An object, in memory or backed, or the path of a .h5ad file or of a .zarr folder that AnnData has written.
    layer : str, optional
        Name of a layer; `X` if it is left out.

    Attributes
    ----------
    feature_names : list of str
        The names of the variables.
    sample_names : list of str
        The names of the observations.
    obs : DataFrame
        The annotation of the samples.

    Raises
    ------
    ImportError
        If anndata is not installed.
    KeyError
        If there is no such layer.
    ValueError
        If there is no matrix, or a backed object is a view.
    TypeError
        If the matrix holds no real numbers, or is of a type that cannot be read by columns.
    RuntimeError
        While reading, if the file was changed since the source was made.

    Examples
    --------
    >>> import anndata
    >>> import numpy as np
    >>> import pandas as pd
    >>> from fcfast.sources import AnnDataSource
    >>> cells = pd.DataFrame({"kind": pd.Categorical(["T", "B", "T"])}, index=["c1", "c2", "c3"])
    >>> genes = pd.DataFrame(index=["g1", "g2"])
    >>> source = AnnDataSource(anndata.AnnData(np.arange(6, dtype="float32").reshape(3, 2), cells, genes))
    >>> source.feature_names, source.sample_names
    (['g1', 'g2'], ['c1', 'c2', 'c3'])
    >>> source.target("kind")
    array(['T', 'B', 'T'], dtype=object)
    >>> source.read(slice(1, 2))
    array([[1.],
           [3.],
           [5.]], dtype=float32)
    """

    def __init__(self, data: Any, layer: str | None = None) -> None:
        if isinstance(data, (str, os.PathLike)):
            self.base, self.obs, names = _of_file(data, layer)
        else:
            self.base, self.obs, names = _of_object(data, layer), data.obs, data.var_names
        self.shape, self.dtype, self.is_sparse = self.base.shape, self.base.dtype, self.base.is_sparse
        if self.shape != (len(self.obs), len(names)):
            raise ValueError(
                f"the matrix has shape {self.shape}, but there are {len(self.obs)} observations and {len(names)} variables"
            )
        self.feature_names, self.sample_names = list(map(str, names)), list(map(str, self.obs.index))

    def read(self, features: slice, rows: Rows = None) -> Any:
        """Read some features of some rows."""
        return self.base.read(features, rows)

    def fingerprint(self) -> bytes:
        """Digest the matrix in memory; for a file, its path, size, time of change and shape."""
        return self.base.fingerprint()

    def count_entries(self) -> NDArray[np.intp]:
        """Count the entries of each feature, if the matrix is sparse."""
        return self.base.count_entries()

    def target(self, name: str, missing: str = "error") -> NDArray[Any]:
        """Give a column of the annotation of samples as a target: labels of a categorical or text column, else numbers.

        Parameters
        ----------
        name : str
            Column of `obs`.
        missing : {"error", "nan"}, default="error"
            What to do if values are missing: raise, or give NaN (of numbers) or None (of labels).

        Returns
        -------
        ndarray of shape (N,)

        Raises
        ------
        KeyError
            If there is no such column.
        ValueError
            If values are missing and `missing` is "error".
        """
        if missing not in ("error", "nan"):
            raise ValueError(f"missing must be 'error' or 'nan', got {missing!r}")
        if name not in self.obs.columns:
            raise KeyError(f"obs has no column {name!r}; it has {', '.join(map(repr, self.obs.columns)) or 'none'}")
        column = self.obs[name]
        known = column.notna().to_numpy()
        if missing == "error" and not known.all():
            n_missing, first = int(np.sum(~known)), self.obs.index[~known][0]
            raise ValueError(
                f"column {name!r} of obs has no value for {n_missing} of {len(column)} samples, {first!r} is the first; "
                f"take the others: known = source.obs[{name!r}].notna().to_numpy(), source[known]"
            )
        there = column[known]
        if there.dtype.name == "category":
            there = there.astype(there.cat.categories.dtype)
        values = np.asarray(there.to_numpy(dtype=object if there.dtype.kind not in "biuf" else None))
        if known.all():
            return values
        is_number = values.dtype.kind in "iuf"
        spread = np.full(len(column), np.nan if is_number else None, dtype=np.float64 if is_number else object)
        spread[known] = values
        return spread


def _of_object(data: Any, layer: str | None) -> Source:
    """Give the matrix of an AnnData object."""
    if layer is not None:
        if layer not in data.layers:
            raise KeyError(f"the AnnData object has no layer {layer!r}; it has {names_in(data.layers)}")
        matrix, what = data.layers[layer], f"layer {layer!r} of the AnnData object"
    elif not data.isbacked:
        matrix, what = data.X, "X of the AnnData object"
    elif data.is_view:
        raise ValueError("a view of a backed AnnData object would be read as a whole; select rows of the source: source[rows]")
    else:
        if not data.file.is_open:
            data.file.open()
        return source_of_element(data.file["X"])
    if matrix is None:
        raise ValueError(f"the AnnData object has no X; choose a layer: {names_in(data.layers)}")
    if not hasattr(matrix, "tocsc") and not isinstance(matrix, np.ndarray):
        raise TypeError(f"{what} is a {type(matrix).__name__}; it must be a NumPy array or a SciPy sparse matrix")
    check_content(what, matrix.shape, matrix.dtype)
    return SparseSource(matrix) if hasattr(matrix, "tocsc") else ArraySource(np.asarray(matrix))


def _of_file(path: "str | os.PathLike[str]", layer: str | None) -> tuple[Source, Any, Any]:
    """Give the matrix, the annotation of samples, and the names of features in a file."""
    try:
        from anndata.io import read_elem
    except ImportError as error:
        raise ImportError(needs(f"reading {os.fspath(path)}", "anndata", "anndata")) from error
    handle = ZarrHandle(path) if os.path.isdir(path) else Hdf5Handle(path, "/")
    group = handle.get()
    if is_dataset(group) or not {"obs", "var"} <= set(group):
        raise ValueError(f"{handle.state.path} was not written by AnnData: it has no obs and var")
    layers = group.get("layers", {})
    if layer is not None and layer not in layers:
        raise KeyError(f"{handle.state.path} has no layer {layer!r}; it has {names_in(layers)}")
    if layer is None and ("X" not in group or group["X"].attrs.get("encoding-type") == "null"):
        raise ValueError(f"{handle.state.path} has no X; choose a layer: {names_in(layers)}")
    source = source_of_element(group["X"] if layer is None else layers[layer])
    return source, read_elem(group["obs"]), read_elem(group["var"]).index


def source_of_element(element: Any) -> Source:
    """Give the source of a matrix that AnnData has written: an HDF5 dataset, a zarr array, or a group with a sparse matrix."""
    is_zarr = type(element).__module__.partition(".")[0] == "zarr"
    if is_dataset(element):
        return ZarrSource(element) if is_zarr else Hdf5Source(element)
    return open_compressed(ZarrHandle(element) if is_zarr else Hdf5Handle.of(element))
