"""Dask arrays in the place of X: each worker multiplies the features that it reads, and X is never gathered.

`FrontClassifier`, `FrontRegressor`, their predictions and `Gram` take a dask array as it is. This module holds what stands
behind it, for who wants to say how many features a task takes. Dask is needed only if there is a dask array:
``pip install "fcfast[dask]"``.
"""

from fcfast.sources.dask import DaskSource

__all__ = ["DaskSource"]
