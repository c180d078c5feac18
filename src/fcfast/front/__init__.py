"""The forms of the front layer, the only one whose inputs never change during training."""

from fcfast.front.base import FORMS, FrontForm, register
from fcfast.front.contributions import ContributionsForm
from fcfast.front.sparse import SparseWeightsForm
from fcfast.front.weights import WeightsForm
from fcfast.front.windowed import WindowedForm

__all__ = ["FORMS", "ContributionsForm", "FrontForm", "SparseWeightsForm", "WeightsForm", "WindowedForm", "register"]
