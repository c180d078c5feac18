"""The starts of a network that `init` names: what the distribution of its initial weights and biases is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Start:
    """A start.

    Attributes
    ----------
    size : float or None
        Deviation of the front layer's pre-activations. With None weights and biases are Glorot's, as in scikit-learn's MLP.
    in_span : bool
        Whether the front layer starts in the span of the training samples.
    has_biases : bool
        Whether the front layer has biases as large as its pre-activations.
    """

    size: float | None = None
    in_span: bool = False
    has_biases: bool = False


STARTS = {
    "span": Start(0.5, in_span=True),
    "scaled": Start(0.5, has_biases=True),  # kinks at the mean alone would not do for few features
    "small": Start(0.05, has_biases=True),
    "glorot": Start(),
}
GIVEN_START = Start()  # that of weights that are given; biases that are not are Glorot's
