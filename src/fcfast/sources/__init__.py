"""What can be read by blocks of features: arrays, sparse matrices, files and views of them.

The libraries that read files (h5py, zarr, anndata, bed-reader), and dask, are imported only when they are needed.
"""

from fcfast.sources.anndata import AnnDataSource
from fcfast.sources.arrays import ArraySource, SparseSource
from fcfast.sources.bed import PlinkBed
from fcfast.sources.dask import DaskSource
from fcfast.sources.hdf5 import Hdf5Source
from fcfast.sources.matrixmarket import open_matrix_market
from fcfast.sources.opening import as_source, open_source, source_in
from fcfast.sources.protocol import SelectedRows, Source
from fcfast.sources.selected import SelectedFeatures
from fcfast.sources.standardized import Standardized
from fcfast.sources.zarr import ZarrSource

__all__ = [
    "AnnDataSource",
    "ArraySource",
    "DaskSource",
    "Hdf5Source",
    "PlinkBed",
    "SelectedFeatures",
    "SelectedRows",
    "Source",
    "SparseSource",
    "Standardized",
    "ZarrSource",
    "as_source",
    "open_matrix_market",
    "open_source",
    "source_in",
]
