"""Public import path of `fcfast.planning.plan`."""

from fcfast.planning.plan import FormCost, Plan, plan

__all__ = ["FormCost", "Plan", "plan"]
