"""Answers made without validating again what was just computed from validated parts."""

from typing import Any, TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)
_new, _set = object.__new__, object.__setattr__


def frozen(model: type[M], values: dict[str, Any]) -> M:
    """`model(**values)` for values that are right by construction: all fields, of their types.

    Twice as fast as validating and four times as fast as `model_construct`; what comes out
    compares and serialises like a validated one (a test holds it to that).
    """
    made = _new(model)
    _set(made, "__dict__", values)
    _set(made, "__pydantic_fields_set__", set(values))
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made
