"""What can be read by blocks of features: arrays, sparse matrices, files and views of them."""

from fcfast.sources.arrays import ArraySource, SparseSource
from fcfast.sources.opening import as_source
from fcfast.sources.protocol import SelectedRows, Source
from fcfast.sources.standardized import Standardized

__all__ = ["ArraySource", "SelectedRows", "Source", "SparseSource", "Standardized", "as_source"]
