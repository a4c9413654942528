"""A user's own network, records and training code, in one file: read it, write one, check it."""

from secateur.own.build import OwnBuild, OwnTrain, placed, refuse_changed
from secateur.own.costs import Estimate, estimate
from secateur.own.findings import Finding
from secateur.own.module import is_recipe_file
from secateur.own.recipe import recipe_of, records_of, shares, sides_of
from secateur.own.records import as_records
from secateur.own.run import Checked, Wanted, check_recipe

__all__ = [
    "Checked",
    "Estimate",
    "Finding",
    "OwnBuild",
    "OwnTrain",
    "Wanted",
    "as_records",
    "check_recipe",
    "estimate",
    "is_recipe_file",
    "placed",
    "recipe_of",
    "records_of",
    "refuse_changed",
    "shares",
    "sides_of",
]
