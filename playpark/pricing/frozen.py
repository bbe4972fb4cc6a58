"""Answers made without validating again what was just computed from validated parts."""

from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)
_new = object.__new__
_slots = vars(BaseModel)
_set_values = _slots["__dict__"].__set__
_set_names = _slots["__pydantic_fields_set__"].__set__
_set_extra = _slots["__pydantic_extra__"].__set__
_set_private = _slots["__pydantic_private__"].__set__


def frozen(model: type[M], names: set[str], values: dict[str, Any]) -> M:
    """`model(**values)` for values that are right by construction: all fields of the model, in
    their order and of their types. `names` are the fields' names; they are kept, not copied.

    Three times as fast as validating and seven times as fast as `model_construct`; what comes out
    compares and serialises like a validated one (a test holds it to that).
    """
    made = _new(model)
    _set_values(made, values)
    _set_names(made, names)
    _set_extra(made, None)
    _set_private(made, None)
    return made


def names_of(model: type[BaseModel]) -> set[str]:
    """What `frozen` wants as `names`."""
    return set(model.model_fields)
