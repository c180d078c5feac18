"""What "auto" stands for in estimators with a front layer: settings, the form, batches and windows."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from numpy.typing import NDArray

from fcfast import validation
from fcfast.estimators import automatic
from fcfast.estimators.automatic import Choice
from fcfast.estimators.front_parameters import FrontParameters
from fcfast.estimators.samples import Length
from fcfast.estimators.starts import STARTS
from fcfast.front import FORMS, FrontForm
from fcfast.gram.held import kernel_of
from fcfast.gram.object import Gram, n_features_of
from fcfast.gram.occurring import is_stored_sparse
from fcfast.optimizers import Optimizer
from fcfast.planning.plan import Plan, plan_for
from fcfast.planning.problem import Problem, of_inputs
from fcfast.rules import make_rule
from fcfast.sources import source_in
from fcfast.sources.elsewhere import elsewhere
from fcfast.sources.lengths import Lengths
from fcfast.sources.running import RUNNING
from fcfast.sources.surveyed import Surveyed
from fcfast.training.compiled import is_compiled
from fcfast.training.network import FrontNetwork

Array = NDArray[Any]


class ChosenFront(FrontParameters):
    """An estimator that chooses what its parameters leave open, once it has seen the samples."""

    classes_: Array

    def _choose_scaling(self, X: Any, has_coefs: bool, streams: bool) -> None:
        """Choose whether samples are scaled, before they are read."""
        follows = streams and self._can_follow(X)
        if streams and not follows and self.standardize == RUNNING:
            raise ValueError(
                f"standardize={RUNNING!r} changes the weights of each feature in partial_fit; it needs a dense X, no kernel, "
                f"and form='windowed' or 'weights' (or 'auto'), got form={self.form!r}; use standardize='capped'"
            )
        self._choose(
            "standardize",
            lambda: automatic.standardize(
                X, has_coefs=has_coefs, compares_samples=self._compares_samples, streams=streams, follows=follows
            ),
        )

    def _can_follow(self, X: Any) -> bool:
        """Whether the form that a stream of these samples gets holds the weights of each feature."""
        kernel = kernel_of(self.kernel, self.gamma, self.degree, self.coef0)
        if isinstance(X, Gram) or not kernel.has_weights or automatic.is_sparse(X) or self.init == "span":
            return False
        form = self._streaming_form(X)
        return form in FORMS and FORMS[form].changes_units

    def _choose_settings(
        self,
        X: Any,
        length: Length,
        before: FrontNetwork | None,
        has_coefs: bool,
        curvature: float,
        noise: float = 1.0,
        streams: bool = False,
    ) -> None:
        """Choose everything that depends on the training samples; a network from before keeps its units.

        Samples of weight 0 do not count, except that a batch may hold them, too.
        """
        n_rows, n_samples = X.shape[0], length.n_counted
        widths = None if before is None else tuple(map(int, before.widths[:-1]))
        is_features = not (streams or isinstance(X, Gram))
        text = is_features and automatic.is_text(automatic.is_sparse(X), n_samples, n_features_of(X))
        self._choose("hidden_layer_sizes", lambda: automatic.hidden_layer_sizes(n_samples, streams, widths, text))
        self._choose("optimizer", lambda: automatic.optimizer(text, self._loss, self._leaves_optimizer_free))
        optimizer = self._optimizer()
        self._choose("init", lambda: automatic.init(X, n_samples, has_coefs, streams or isinstance(X, Surveyed)))
        rests = bool(optimizer.rests) and automatic.is_sparse(X)
        self._choose_course(n_samples, n_rows, streams, rests)
        # later portions of a stream may be larger than the first one
        batch = int(self._setting("batch_size")) if streams else self._batch_size(n_rows)
        hidden, rule = self._hidden(), make_rule(self.rule)
        self._curvature = curvature
        step = automatic.step(batch, batch >= n_rows and not streams, len(hidden), rule, self._constants) / curvature
        self._choose_rates(X, length, n_samples, partial(self._layer_rates, X, step), step, noise, streams)
        if self.verbose:
            print(self.settings_)

    def _checked_curvature(self, targets: Array, weights: Array | None) -> float:
        """Give the curvature of the loss, by which rates are divided; a loss of the user may give anything."""
        return validation.positive(self._loss.curvature(targets, weights), f"curvature of the loss {self._loss.name!r}")

    def _layer_rates(self, X: Any, step: float, n_in: float, measured: str) -> Choice:
        """Choose the rate of each layer, where the front layer has so many inputs."""
        hidden, optimizer = self._hidden(), self._optimizer()
        shapes = list(zip((n_in, *hidden), (*hidden, 1), strict=True))
        rests = bool(optimizer.rests) and automatic.is_sparse(X)
        share = automatic.share_of_classes(len(self.classes_)) if rests and self._loss.has_classes else 1.0
        measured += f", over the mean of y, {self._curvature:.3g}" if self._curvature > 1 else ""
        return automatic.learning_rate(shapes, optimizer, step, measured, share)

    def _choose_stream_rates(self, X: Any, lengths: Lengths) -> None:
        batch, is_tall = int(self._setting("batch_size")), automatic.has_more_samples(X, lengths.n_samples)
        step = automatic.step(batch, False, len(self._hidden()), make_rule(self.rule), self._constants) / self._curvature
        n_in = automatic.front_inputs(X, lengths.chosen, is_tall, self._constants)
        self._choose("learning_rate", lambda: self._layer_rates(X, step, n_in, lengths.text))

    def _plan(self, form: str, X: Any, widths: Sequence[int], n_epochs: int, optimizer: Optimizer, in_span: bool) -> Plan:
        rule = make_rule(self.rule)
        problem = Problem(
            **of_inputs(X, self.dtype), hidden=tuple(widths[1:-1]), n_outputs=widths[-1],
            batch_size=self._batch_size(X.shape[0]), n_epochs=n_epochs, dtype=self.dtype, optimizer=optimizer, rule=rule,
            compiled=is_compiled(rule, optimizer, self._groups(), self._loss), in_span=in_span,
        )  # fmt: skip
        why = "as asked"
        if form != self.form:  # the number of samples is not known to all who choose a form
            why = f"because samples {'are read in blocks' if isinstance(X, Surveyed) else 'come in portions'}"
        return plan_for(problem, form, self.window, self.memory_limit, why_asked=why)

    def _streaming_form(self, X: Any) -> str:
        """Give the form for samples whose number is not known yet; a form that does not keep them is preferred."""
        if self.form != "auto":
            return self.form
        init = self._setting("init")
        if isinstance(X, Gram) or (not validation.is_auto(init) and STARTS[init].in_span):
            return "auto"  # the plan leaves no other form than one that keeps the samples
        optimizer, rule = self._optimizer(), make_rule(self.rule)
        any_form = optimizer.commutes and rule.stays_in_span
        far = elsewhere(source_in(X)) is not None
        possible = [
            (kind.keeps_inputs, kind.updates_each_weight, name)
            for name, kind in ((name, kind.variant(is_stored_sparse(X))) for name, kind in FORMS.items())
            if kind.is_automatic
            and not (far and kind.needs_features)
            and (any_form or kind.updates_each_weight)
            and (kind.takes_sparse or not is_stored_sparse(X))
            and (not kind.leaves_alone or (optimizer.is_lazy and rule.stays_in_span))
        ]
        # The first of equals: the library's own forms come before those that users register.
        return min(possible, default=(False, True, "auto"), key=lambda form: form[:2])[-1]

    def _batch_and_window(self, n_samples: int, form: type[FrontForm]) -> tuple[int, int]:
        """Give the batch size and the number of rows in a window for so many samples in a form."""
        batch_size = self._batch_size(n_samples)
        has_velocity = self._optimizer().has_velocity
        return batch_size, form.choose_window(self.window, batch_size, n_samples, has_velocity)
