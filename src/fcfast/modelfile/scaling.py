"""How the samples and targets of a network are scaled, in model files of version 2. Tensors, all in float64:

========================  ====  ==========================================================================
inputs.mean, .scale       (d,)  only if the network was trained on scaled inputs
targets.mean, .scale      (c,)  only if a regression was trained on scaled targets
missing.mean              (d,)  only if missing values were filled in
========================  ====  ==========================================================================
"""

from collections.abc import Sequence

from fcfast.modelfile.checks import require
from fcfast.modelfile.headers import Expected, Tensors
from fcfast.sources.scale import Scale
from fcfast.sources.scaling import Scaling

INPUTS = [[], ["inputs"], ["missing"], ["inputs", "missing"]]
SCALED = ("inputs", "targets", "missing")


def scaled_parts(scaling: Scaling | None) -> list[str]:
    """Name what a scaling consists of, for the header."""
    return [what for what in SCALED if getattr(scaling, what, None) is not None]


def expected_tensors(parts: Sequence[str], n_features: int, n_outputs: int) -> Expected:
    """Give dtype and shape of every tensor of a scaling."""
    expected: Expected = {}
    for what in parts:
        shape = (n_outputs,) if what == "targets" else (n_features,)
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
    return tensors


def scaling_in(parts: Sequence[str], tensors: Tensors) -> Scaling | None:
    """Restore a scaling; None if nothing is scaled."""
    if not parts:
        return None
    scales = {what: _scale_in(tensors, what) if what in parts else None for what in ("inputs", "targets")}
    return Scaling(scales["inputs"], scales["targets"], tensors.get("missing.mean") if "missing" in parts else None)


def _scale_in(tensors: Tensors, what: str) -> Scale:
    mean, scale = tensors[f"{what}.mean"], tensors[f"{what}.scale"]
    require(bool((scale > 0).all()), f"{what}.scale holds numbers that are not positive")
    return Scale(mean, scale)
