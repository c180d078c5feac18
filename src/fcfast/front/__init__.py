"""The forms of the front layer, the only one whose inputs never change during training."""

from fcfast.front.base import FORMS, FrontForm
from fcfast.front.contributions import ContributionsForm
from fcfast.front.weights import WeightsForm

__all__ = ["FORMS", "ContributionsForm", "FrontForm", "WeightsForm"]
