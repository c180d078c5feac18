"""The first layer of a network as a module that takes the place of nn.Linear."""

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from fcfast import validation
from fcfast.gram.products import expand
from fcfast.torch.calls import row_numbers
from fcfast.torch.contributions import Contributions
from fcfast.torch.coordinates import Coordinates
from fcfast.torch.form import Form
from fcfast.torch.guard import watch
from fcfast.torch.initial import SEEDS, ScaledWeights, Start
from fcfast.torch.new_samples import preactivations_of_features
from fcfast.torch.rows import Rows
from fcfast.torch.states import why_not
from fcfast.torch.tensors import INTEGERS, as_array, as_doubles

PRECISIONS = (torch.float32, torch.float64)
MOST_ROWS = 10_000  # with more, finding the coordinates takes minutes and two more arrays as large as the Gram matrix
NOT_REPARAMETRIZED = (
    "the weight of a FrontLinear in form='contributions' cannot be parametrised (weight_norm and the like), because its "
    "contributions have other lengths than the weights; use form='coordinates', or no parametrisation"
)
FORMS: dict[str, type[Form]] = {form.name: form for form in (Coordinates, Contributions)}
INITS = "auto", "uniform", "span"
ADJUSTMENTS = "original", "match_rms_adamw"  # of rates to shapes, by torch.optim.Muon


class FrontLinear(nn.Module):
    """A linear layer on N fixed samples that is trained as nn.Linear(d, h), at the cost of nn.Linear(N, h).

    The first argument of a call says which samples are meant. Integers are training samples, None is all of them, and floating
    point numbers are features of new samples. The layer gives what nn.Linear gives for their features, before and after any
    number of steps of an optimiser that commutes with rotations of the input: SGD, Muon (`muon_group`) or `NeuronAdam`. Others
    raise `InexactOptimizerError` when they make a step.

    Parameters
    ----------
    rows : Rows
        Samples, which any number of layers and models may share.
    out_features : int
        Number of units.
    bias : bool, default True
        Whether there is a bias, which is an ordinary parameter.
    init : {"auto", "uniform", "span"}, default "auto"
        Initial weights. "uniform" has the distribution of nn.Linear, U(-1/sqrt(d), 1/sqrt(d)); they are made from a counter
        whenever they are needed and never stored. "span" is Gaussian with the same deviation, without the part that is
        orthogonal to all samples; no number is drawn for a feature. "auto" is "uniform" where there are weights for features,
        else (kernels, centred Gram matrices) "span".
    form : {"auto", "coordinates", "contributions"}, default "auto"
        Numbers that stand for the weights. Coordinates (h, r + 1) in the span of the samples keep lengths, but have to be found
        by a decomposition of the Gram matrix; contributions (N + 1, h) need none. "auto" takes coordinates for up to 10,000
        samples.
    generator : torch.Generator or None
        Generator of the seed and of the bias; None takes PyTorch's own.
    device, dtype
        The same as for nn.Linear; float32 or float64.

    Attributes
    ----------
    weight : Parameter of shape (h, r + 1) or (N + 1, h)
        Numbers that stand for the weights.
    bias : Parameter of shape (h,), or None
        Bias.
    in_features, out_features : int
        Numbers of features and units.

    Raises
    ------
    ValueError, TypeError
        If an argument is invalid.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from torch import nn
    >>> from fcfast.torch import FrontLinear, Rows
    >>> X = np.random.default_rng(0).normal(size=(20, 5000))
    >>> net = nn.Sequential(FrontLinear(Rows(X), 8), nn.ReLU(), nn.Linear(8, 2))
    >>> net(torch.tensor([3, 7, 3])).shape, net(None).shape, net(X[:4]).shape
    (torch.Size([3, 2]), torch.Size([20, 2]), torch.Size([4, 2]))
    >>> net[0].expand()
    Linear(in_features=5000, out_features=8, bias=True)
    """

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        rows: Rows,
        out_features: int,
        bias: bool = True,
        *,
        init: str = "auto",
        form: str = "auto",
        generator: torch.Generator | None = None,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        rows = _checked_rows(rows)
        _check_generator(generator)
        out_features = validation.size(out_features, "out_features")
        validation.choice(init, "init", INITS)
        has_weights = rows.gram.has_weights and not rows.gram.is_centred
        if init == "uniform" and not has_weights:
            raise ValueError(
                f"init='uniform' draws weights for features, which a layer on {rows.gram!r} does not have; use init='span'"
            )
        kind = ("uniform" if has_weights else "span") if init == "auto" else init
        self._begin(rows, Start.drawn(kind, out_features, rows.n_features, _seed(generator)), form)
        tensor: dict[str, Any] = {"device": device, "dtype": _checked_dtype(dtype)}
        self.weight = nn.Parameter(torch.empty(self.form.shape, **tensor))
        self.register_parameter("bias", nn.Parameter(torch.empty(out_features, **tensor)) if bias else None)
        self._set_weight()
        self._draw_bias(generator)

    @classmethod
    def from_linear(cls, linear: nn.Linear, rows: Rows, *, form: str = "auto") -> "FrontLinear":
        """Make the layer that an nn.Linear is on these samples, with a copy of its weights as initial weights.

        Parameters
        ----------
        linear : torch.nn.Linear
            Layer for as many features as the samples have.
        rows : Rows
            Samples.
        form : {"auto", "coordinates", "contributions"}, default "auto"
            The same as for the class.

        Returns
        -------
        FrontLinear
            A layer in the same precision, on the same device, that holds the copy in main memory.

        Raises
        ------
        TypeError
            If it is no nn.Linear.
        ValueError
            If the numbers of features differ, the samples have no features, or weights are NaN or infinite.

        Examples
        --------
        >>> import numpy as np, torch
        >>> from fcfast.torch import FrontLinear, Rows
        >>> linear, X = torch.nn.Linear(5000, 8), torch.randn(20, 5000)
        >>> front = FrontLinear.from_linear(linear, Rows(X))
        >>> torch.allclose(front(None), linear(X), atol=1e-5)
        True
        """
        if not isinstance(linear, nn.Linear):
            raise TypeError(f"linear must be a torch.nn.Linear, got a {type(linear).__name__}")
        gram = _checked_rows(rows).gram
        if not gram.has_weights or gram.is_centred:
            raise ValueError(
                f"rows must have features, which are not centred by a Gram, got {gram!r}; use FrontLinear(rows, h)"
            )
        if linear.in_features != rows.n_features:
            raise ValueError(f"linear has {linear.in_features} inputs, but the samples have {rows.n_features} features")
        for name, held in linear.named_parameters():
            if not bool(torch.isfinite(held.detach()).all()):
                raise ValueError(f"linear.{name} holds values that are NaN or infinite; give a layer with finite numbers")
        layer = cls.__new__(cls)
        nn.Module.__init__(layer)
        layer._begin(rows, Start.given(as_array(linear.weight).copy()), form)
        like = linear.weight
        layer.weight = nn.Parameter(
            torch.empty(layer.form.shape, device=like.device, dtype=_checked_dtype(like.dtype)), like.requires_grad
        )
        layer.register_parameter("bias", None)
        if linear.bias is not None:
            layer.bias = nn.Parameter(linear.bias.detach().clone(), linear.bias.requires_grad)
        layer._set_weight()
        layer.train(linear.training)
        return layer

    def _begin(self, rows: Rows, start: Start, form: str) -> None:
        validation.choice(form, "form", ("auto", *FORMS))
        self.rows, self.in_features, self.out_features = rows, rows.n_features, start.n_hidden
        name = ("coordinates" if len(rows) <= MOST_ROWS else "contributions") if form == "auto" else form
        self.form: Form = FORMS[name](rows, start)
        watch(self)

    def _set_weight(self) -> None:
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(np.ascontiguousarray(self.form.initial())).to(self.weight.dtype))
        self.form.prepare(self.weight)

    def _draw_bias(self, generator: torch.Generator | None) -> None:
        if self.bias is None:
            return
        bound = 1 / math.sqrt(self.rows.gram.fan_in or 1.0)
        drawn = torch.rand(self.out_features, generator=generator, device=_device_of(generator), dtype=torch.float32)
        with torch.no_grad():
            self.bias.copy_(((2 * drawn - 1) * bound).to(self.bias.dtype))

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw weights and bias anew, as nn.Linear does; a layer that was made from given weights draws "uniform" ones.

        Parameters
        ----------
        generator : torch.Generator or None
            The same as for the class.
        """
        _check_generator(generator)
        kind = "span" if self.form.start.init == "span" else "uniform"
        self.form = type(self.form)(self.rows, Start.drawn(kind, self.out_features, self.in_features, _seed(generator)))
        self._set_weight()
        self._draw_bias(generator)

    def extra_repr(self) -> str:
        """Describe the layer in a line."""
        has_bias = self.bias is not None
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={has_bias}, rows={len(self.rows)}"

    # ------------------------------------------------------------------------------------------------------------------
    # calls

    def forward(self, x: Any = None) -> torch.Tensor:
        """Give the pre-activations of samples.

        Parameters
        ----------
        x : Tensor, ndarray, int, list, sparse matrix, Source, Gram or None
            A tensor of integers (int64 or int32) of any shape (...), an integer, or integers in an array or a list of one
            dimension: numbers of training samples, and in evaluation mode of `Rows.evaluation`. None: all training samples.
            Floating point numbers of shape (..., d), an array of integers of shape (M, d), or anything else that holds
            samples: features of new samples. The layer cannot be trained on these: a backward pass to its weights raises a
            RuntimeError.

        Returns
        -------
        Tensor of shape (..., h)

        Raises
        ------
        IndexError
            If there is no sample with such a number. On a GPU PyTorch stops with an assertion, as for nn.Embedding.
        ValueError, TypeError
            If the features are invalid, integers may be neither, or the contributions are parametrised (weight_norm).
        """
        if self._is_reparametrized and not self.form.keeps_lengths:
            raise ValueError(NOT_REPARAMETRIZED)
        if x is None or (isinstance(x, torch.Tensor) and x.dtype in INTEGERS):
            return self._of_rows(x)
        # A function may compare samples that are integers themselves.
        takes_any = self.rows.gram.takes_any_samples and isinstance(x, (list, tuple))
        rows = None if takes_any else row_numbers(x, self.in_features, self.weight.device)
        return preactivations_of_features(self, x) if rows is None else self._of_rows(rows)

    def _of_rows(self, rows: torch.Tensor | None) -> torch.Tensor:
        kind = self.weight.device.type
        # Coordinates in half precision would be those of other samples. The meta device knows no autocast.
        if kind != "meta" and torch.is_autocast_enabled(kind):
            with torch.autocast(kind, enabled=False):
                return self._of_rows(rows)
        if rows is None:
            return self.form.of_rows(None, self.weight, self.bias)
        if self.training or not self.rows.n_evaluation:
            return self.form.of_rows(rows, self.weight, self.bias)
        return self.form.of_any_rows(rows, self.weight, self.bias)

    # ------------------------------------------------------------------------------------------------------------------
    # weights and optimisers

    @torch.no_grad()
    def expand(self) -> nn.Linear:
        """Make the ordinary layer with the weights for features, block by block: no more memory is needed than for these.

        Returns
        -------
        torch.nn.Linear
            Layer in the same precision, on the same device, that shares nothing with this one. Features that a Gram has
            standardised are expected as these are; the bias takes care of a Gram that is centred.

        Raises
        ------
        AttributeError
            If the samples are known by a kernel or by products alone, so that there are no weights for features.
        """
        gram = self.rows.gram
        if not gram.has_weights:
            raise AttributeError(
                f"the layer has no weights for features, because its samples are known by the {gram.kernel_name} kernel"
            )
        if self._is_reparametrized and not self.form.keeps_lengths:
            raise ValueError(NOT_REPARAMETRIZED)
        A, c = self.form.split(as_doubles(self.weight))
        has_bias = self.bias is not None or gram.is_centred
        linear = nn.utils.skip_init(
            nn.Linear, self.in_features, self.out_features, bias=has_bias, dtype=self.weight.dtype, device="cpu"
        )
        offset: Any = 0.0
        if gram.is_centred:
            A = A - A.mean(axis=0)
            offset = -(gram.means @ A)
        held = linear.weight.detach().numpy()
        expand(gram.X, A, 1.0, ScaledWeights(self.form.start.weights, c), "float64", out=held, n_jobs=gram.n_jobs)
        if has_bias:
            own = np.zeros(self.out_features) if self.bias is None else as_doubles(self.bias)
            linear.bias.copy_(torch.from_numpy(own + offset))
            linear.bias.requires_grad_(self.bias is not None and self.bias.requires_grad)
        linear.weight.requires_grad_(self.weight.requires_grad)
        return linear.to(self.weight.device).train(self.training)

    def standing_for_weights(self) -> list[nn.Parameter]:
        """Give the parameters that stand for weights; a parametrisation (weight_norm) has others than `weight`."""
        weight = self._parameters.get("weight")
        if weight is not None:
            return [weight]
        return [parameter for parameter in self.parameters() if tuple(parameter.shape) == self.form.shape]

    @property
    def _is_reparametrized(self) -> bool:
        """Whether `weight` is made of other parameters, in either of PyTorch's ways."""
        parametrized: Any = self._modules.get("parametrizations", ())
        return "weight" in parametrized or "weight_v" in self._parameters or "weight_orig" in self._parameters

    def muon_adjustment(self, adjust_lr_fn: str | None = None) -> float:
        """Give the factor between the rates that Muon takes from the shape of the weights and from that of the parameter."""
        h, d, r = self.out_features, self.rows.gram.fan_in or 1.0, self.weight.shape[1]
        if adjust_lr_fn in (None, "original"):
            return math.sqrt(max(1.0, h / d) / max(1.0, h / r))
        return math.sqrt(max(h, d) / max(h, r))

    def muon_group(
        self, lr: float | torch.Tensor = 1e-3, weight_decay: float = 0.1, *, adjust_lr_fn: str | None = None
    ) -> dict[str, Any]:
        """Give the parameter group with which torch.optim.Muon does to the weights what it does to those of nn.Linear.

        Muon takes its rate from the shape of a parameter, and the coordinates have another shape than the weights. A scheduler
        that multiplies rates works as ever; one that sets them (OneCycleLR, CyclicLR) has to be given the rate of the group.

        Parameters
        ----------
        lr, weight_decay : float
            Settings for the weights.
        adjust_lr_fn : {None, "original", "match_rms_adamw"}
            The same as for torch.optim.Muon.

        Returns
        -------
        dict
            Parameter group.

        Raises
        ------
        ValueError, TypeError
            If the form has no coordinates, or a setting is invalid.

        Examples
        --------
        >>> import torch
        >>> from fcfast.torch import FrontLinear, Rows
        >>> front = FrontLinear(Rows(torch.randn(5, 300)), 24)
        >>> group = front.muon_group(lr=0.02, weight_decay=0.1)
        >>> round(group["lr"], 6)  # rates grow with max(1, 24 / 300) in place of max(1, 24 / 6)
        0.01
        >>> optimizer = torch.optim.Muon([group])
        """
        if not self.form.keeps_lengths:
            raise ValueError(
                f"Muon needs coordinates, but the layer has form={self.form.name!r}; use form='coordinates', or SGD"
            )
        validation.in_range(float(lr) if isinstance(lr, torch.Tensor) else lr, "lr", 0, math.inf)
        validation.in_range(weight_decay, "weight_decay", 0, math.inf)
        if adjust_lr_fn is not None:
            validation.choice(adjust_lr_fn, "adjust_lr_fn", ADJUSTMENTS)
        factor = self.muon_adjustment(adjust_lr_fn)
        return {
            "params": [self.weight], "lr": lr * factor, "weight_decay": weight_decay / factor, "adjust_lr_fn": adjust_lr_fn,
            "adjusted_for": factor,
        }  # fmt: skip

    # ------------------------------------------------------------------------------------------------------------------
    # precision, devices, copies, states

    def _apply(self, fn: Any, recurse: bool = True) -> "FrontLinear":
        wanted = fn(torch.empty(0, dtype=self.weight.dtype, device=self.weight.device)).dtype
        _checked_dtype(wanted)
        applied = super()._apply(fn, recurse)
        self.form.prepare(self.weight)
        return applied

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        watch(self)  # copies and pickles are guarded, too
        self.form.prepare(self.weight)

    def get_extra_state(self) -> dict[str, Any]:
        """Give what a state dictionary holds besides the parameters: how the weights start, and marks of the samples."""
        state = self.form.start.state()
        if "W1" in state:
            state["W1"] = torch.from_numpy(state["W1"])
        order = self.rows.order() if self.form.keeps_lengths else 0
        return {**state, "form": self.form.name, "samples": self.rows.sketch, "order": order}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Start from the weights that a state dictionary has described."""
        given = state | ({"W1": as_array(state["W1"])} if "W1" in state else {})
        if not self.form.start.is_same(given):
            self.form = type(self.form)(self.rows, Start.of_state(given, self.out_features, self.in_features))
            self.form.prepare(self.weight)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing: Any, unexpected: Any, errors: Any
    ) -> None:
        """Load nothing of a state that is incomplete, or belongs to other samples or another form."""
        if reason := why_not(self, state_dict, prefix):
            # An error that PyTorch collects would come when a parametrisation has been loaded.
            raise RuntimeError(f"{prefix.removesuffix('.') or 'the FrontLinear'} cannot be loaded: {reason}")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, strict, missing, unexpected, errors)


def _seed(generator: torch.Generator | None) -> int:
    return int(torch.randint(SEEDS, (), generator=generator, device=_device_of(generator)))


def _check_generator(generator: torch.Generator | None) -> None:
    if not (generator is None or isinstance(generator, torch.Generator)):
        raise TypeError(
            f"generator must be a torch.Generator or None, got {generator!r}; use torch.Generator().manual_seed(seed)"
        )


def _device_of(generator: torch.Generator | None) -> torch.device:
    return torch.device("cpu") if generator is None else generator.device


def _checked_rows(rows: Rows) -> Rows:
    if not isinstance(rows, Rows):
        raise TypeError(f"rows must be a fcfast.torch.Rows, got a {type(rows).__name__}; use Rows(X)")
    return rows


def _checked_dtype(dtype: torch.dtype | None) -> torch.dtype:
    wanted = torch.get_default_dtype() if dtype is None else dtype
    if wanted not in PRECISIONS:
        raise TypeError(
            f"a FrontLinear has float32 or float64 weights, got {wanted}, in which the coordinates of samples would be "
            "those of others; use torch.autocast for mixed precision, in which the layer keeps its own"
        )
    return wanted
