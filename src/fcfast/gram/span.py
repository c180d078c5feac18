"""TEMPORARY."""

import numpy as np


def span_start(G, Z, sigma):
    E, V = np.linalg.eigh(G.astype(np.float64))
    k = len(G) * np.finfo(G.dtype).eps * max(E.max(), 0) < E
    E, V, Z = E[k], V[:, k], Z[: k.sum()]
    return sigma * (V * np.sqrt(E)) @ Z, sigma * (V / np.sqrt(E)) @ Z
