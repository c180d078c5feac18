"""Estimators whose parameters may be "auto", and whose learning rate and weight decay may differ between layers."""

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fcfast import validation
from fcfast.estimators import automatic
from fcfast.estimators.automatic import GIVEN, Choice
from fcfast.estimators.base import TrainedEstimator
from fcfast.estimators.samples import Length
from fcfast.optimizers import Optimizer

Array = NDArray[Any]


class AutomaticEstimator(TrainedEstimator):
    """The choices that all estimators have in common. Subclasses say how many layers there are, and what their shapes are."""

    _constants: ClassVar[automatic.Constants]
    learning_rate: Any
    weight_decay: Any
    optimizer: Any
    early_stopping: bool

    @property
    def _n_layers(self) -> int:
        """Number of layers with a rate and a decay of their own."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------------------------
    # rates and decays by layer

    def _check_rates(self) -> None:
        if not validation.is_auto(self.learning_rate) and not self._by_layer("learning_rate").any():
            raise ValueError(f"learning_rate must be positive for some layer, got {self.learning_rate!r}")
        if not validation.is_auto(self.weight_decay):
            self._by_layer("weight_decay")

    def _by_layer(self, name: str) -> Array:
        """Give numbers (n_layers, 2) for the weights and the biases of each layer."""
        value = self._setting(name)
        if name == "learning_rate" and not validation.has_items(value):
            validation.positive(value, name)
        return validation.by_layer(value, name, self._n_layers)

    def _groups_by_layer(self) -> tuple[Array | None, Array | None]:
        """Give factors of the rate, and decays, of the weights and the biases of each layer; None where all have the same."""
        rates, decays = (
            self._by_layer(name) if validation.has_items(self._setting(name)) else None
            for name in ("learning_rate", "weight_decay")
        )
        return rates, decays

    def _settings(self) -> dict[str, Any]:
        """Give the optimiser the largest weight decay of all layers; each layer replaces it by its own."""
        settings = super()._settings()
        if validation.is_auto(self.weight_decay):
            is_chosen = isinstance(self.optimizer, str) and "weight_decay" in getattr(self, "settings_", {})
            decay = self.settings_["weight_decay"] if is_chosen else 0.0
            settings["weight_decay"] = float(np.max(decay))
        elif validation.has_items(self.weight_decay):
            settings["weight_decay"] = float(self._by_layer("weight_decay").max())
        return settings

    # ------------------------------------------------------------------------------------------------------------------
    # what "auto" stands for

    def _choose(self, name: str, choose: Callable[[], Choice]) -> Any:
        """Note the value of a parameter, which is chosen if it is "auto"."""
        given = getattr(self, name)
        choice = choose() if validation.is_auto(given) else Choice(given, GIVEN)
        self.settings_ = self.settings_.with_choice(name, choice)
        return choice.value

    def _choose_course(self, n_samples: int, n_rows: int, streams: bool = False, rests: bool = False) -> None:
        """Choose batches, epochs, the end of the training and the schedule; `n_samples` of the rows have a weight above 0."""
        self._choose("batch_size", lambda: self._batch_choice(n_samples, n_rows, streams))
        batch, epochs = self._batch_size(n_rows), 1  # of a call of `partial_fit`
        if not (streams and validation.is_auto(self.max_epochs)):  # what is given is noted in a stream, too
            epochs = self._choose("max_epochs", lambda: automatic.max_epochs(n_samples, batch, self._constants, rests))
        self._choose("n_iter_no_change", lambda: automatic.n_iter_no_change(epochs, self.early_stopping))
        if not (streams and validation.is_auto(self.schedule)):
            self._choose("schedule", lambda: automatic.schedule(n_rows, batch))

    def _batch_choice(self, n_samples: int, n_rows: int, streams: bool) -> Choice:
        """Choose the number of samples in a batch."""
        return automatic.batch_size(n_samples, n_rows, streams)

    def _choose_rates(
        self,
        X: Any,
        length: Length,
        n_samples: int,
        rates_of: Callable[[float, str], Choice],
        step: float,
        noise: float = 1.0,
        streams: bool = False,
    ) -> None:
        """Choose rates, by a function of the front layer's number of inputs and of how it was measured, and decays."""
        optimizer: Optimizer = self._optimizer()
        constants, is_tall = self._constants, automatic.has_more_samples(X, n_samples)
        is_given = not validation.is_auto(self.learning_rate)
        is_asked = not is_given or validation.is_auto(self.weight_decay)
        n_in, measured = (length.value, length.text) if is_asked else (1.0, "")
        rates = rates_of(automatic.front_inputs(X, n_in, is_tall, constants), measured)
        self._choose("learning_rate", lambda: rates)
        own = None if isinstance(self.optimizer, str) else optimizer.weight_decay
        asks = constants.directions and validation.is_auto(self.weight_decay) and not streams
        directions = length.directions if asks else np.inf
        decay = constants.decay_of(n_samples, is_tall, noise, directions)
        self._choose(
            "weight_decay",
            lambda: automatic.weight_decay(
                rates.value, is_given, optimizer, step, decay, n_samples, streams, own, constants.because(noise, directions)
            ),
        )
