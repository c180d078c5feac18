"""Whether a state dictionary is one of a front layer: of these samples, in this form, and complete."""

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from fcfast.torch.linear import FrontLinear

EXTRA = "_extra_state"
ENTRIES = {"init": str, "seed": int, "form": str, "samples": torch.Tensor, "order": int}


def why_not(layer: "FrontLinear", state_dict: Any, prefix: str) -> str:
    """Say why a layer cannot be loaded from a state dictionary; the text is empty if it can, or if nothing is for it."""
    shapes = {name: tuple(held.shape) for name, held in layer.named_parameters() if name != "bias"}
    wanted = {EXTRA, *shapes}
    found = {name for name in wanted if f"{prefix}{name}" in state_dict}
    if not found:
        return ""
    if lacking := wanted - found:
        return (
            f"the state lacks {', '.join(repr(prefix + name) for name in sorted(lacking))}. The weights of a FrontLinear mean "
            "nothing without the seed and the marks of its samples, so that either all of it is loaded or nothing; keep the "
            "whole state_dict(), as torch.save does (safetensors keeps tensors alone), or the weights of layer.expand()"
        )
    state = state_dict[f"{prefix}{EXTRA}"]
    if not _is_sound(layer, state):
        return f"{prefix + EXTRA!r} in the state is damaged; it must be as get_extra_state() gave it"
    if state["form"] != layer.form.name:
        return f"its form is {state['form']!r}, not {layer.form.name!r}; make the layer with that form"
    keeps_lengths = layer.form.keeps_lengths
    if not layer.rows.has_sketch(state["samples"]) or (keeps_lengths and state["order"] != layer.rows.order()):
        return "its weights refer to other samples, or to these in another order; give Rows of the same samples"
    for name, shape in shapes.items():
        given = tuple(state_dict[f"{prefix}{name}"].shape)
        if given != shape:
            return f"{prefix + name!r} has shape {given} in the state and {shape} in the layer; make it with as many units"
    return ""


def _is_sound(layer: "FrontLinear", state: Any) -> bool:
    """Whether a state has everything that `set_extra_state` needs."""
    if not isinstance(state, dict) or not all(isinstance(state.get(name), kind) for name, kind in ENTRIES.items()):
        return False
    if state["init"] != "given":
        return state["init"] in ("uniform", "span")
    weights = state.get("W1")
    shape = layer.out_features, layer.in_features
    return isinstance(weights, torch.Tensor) and weights.ndim == 2 and tuple(weights.shape)[1:] == shape[1:]
