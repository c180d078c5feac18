"""How the samples and targets of a network are scaled, in model files from version 2 on. Tensors, all in float64 but the last:

========================  ===========  ===================================================================
inputs.mean, .scale       (d,)         only if the network was trained on scaled inputs
targets.mean, .scale      (c,)         only if a regression was trained on scaled targets
missing.mean              (d,)         only if missing values were filled in
scaled.features           (k,), int64  only if sparse inputs were scaled without being centred: the features
                                       that the others then have numbers for, k in place of d
========================  ===========  ===================================================================
"""

from collections.abc import Sequence

import numpy as np

from fcfast import validation
from fcfast.modelfile.checks import require
from fcfast.modelfile.headers import Expected, Tensors
from fcfast.sources.scale import Scale
from fcfast.sources.scaling import Scaling

INPUTS = [[], ["inputs"], ["missing"], ["inputs", "missing"]]
SCALED = ("inputs", "targets", "missing")


def scaled_parts(scaling: Scaling | None) -> list[str]:
    """Name what a scaling consists of, for the header."""
    return [what for what in SCALED if getattr(scaling, what, None) is not None]


def n_scaled(scaling: Scaling | None) -> int:
    """Count the features that a scaling has numbers for, for the header; 0 stands for all of them."""
    return 0 if scaling is None or scaling.features is None else len(scaling.features)


def check_scaled(n_scaled: int, parts: Sequence[str], n_features: int) -> None:
    """Check how many features a scaling has numbers for."""
    validation.integer(n_scaled, "n_scaled", 0)
    require(n_scaled <= n_features, "it has more features that are scaled than features")
    require(not n_scaled or "inputs" in parts, "it has features that are scaled, but no scales")


def expected_tensors(parts: Sequence[str], n_features: int, n_outputs: int, n_scaled: int = 0) -> Expected:
    """Give dtype and shape of every tensor of a scaling."""
    expected: Expected = {"scaled.features": ("int64", (n_scaled,))} if n_scaled else {}
    for what in parts:
        shape = (n_outputs,) if what == "targets" else (n_scaled or n_features,)
        expected[f"{what}.mean"] = "float64", shape
        if what != "missing":
            expected[f"{what}.scale"] = "float64", shape
    return expected


def scaling_tensors(scaling: Scaling | None) -> Tensors:
    """Collect the tensors of a scaling."""
    tensors: Tensors = {}
    for what in scaled_parts(scaling):
        held = getattr(scaling, what)
        tensors |= (
            {f"{what}.mean": held.mean, f"{what}.scale": held.scale} if isinstance(held, Scale) else {f"{what}.mean": held}
        )
    if scaling is not None and scaling.features is not None:
        tensors["scaled.features"] = scaling.features.astype(np.int64)
    return tensors


def scaling_in(parts: Sequence[str], tensors: Tensors, n_features: int) -> Scaling | None:
    """Restore a scaling; None if nothing is scaled."""
    if not parts:
        return None
    scales = {what: _scale_in(tensors, what) if what in parts else None for what in ("inputs", "targets")}
    features, missing = tensors.get("scaled.features"), tensors.get("missing.mean") if "missing" in parts else None
    if features is not None:
        rises = bool((np.diff(features) > 0).all()) and features[0] >= 0 and features[-1] < n_features
        require(rises, "the features that are scaled are not distinct features in rising order")
        require(not tensors["inputs.mean"].any(), "it scales the features that occur alone, but centres them")
    return Scaling(scales["inputs"], scales["targets"], missing, features)


def _scale_in(tensors: Tensors, what: str) -> Scale:
    mean, scale = tensors[f"{what}.mean"], tensors[f"{what}.scale"]
    require(bool((scale > 0).all()), f"{what}.scale holds numbers that are not positive")
    return Scale(mean, scale)
