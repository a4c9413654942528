"""A user's own network, records and training code, in one file: read it, write one, check it."""

from secateur.own.build import OwnBuild, OwnTrain
from secateur.own.module import is_recipe_file
from secateur.own.recipe import recipe_of, records_of, shares
from secateur.own.records import as_records

__all__ = [
    "OwnBuild",
    "OwnTrain",
    "as_records",
    "is_recipe_file",
    "recipe_of",
    "records_of",
    "shares",
]
