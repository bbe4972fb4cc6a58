"""From a cart to a priced cart with its trace: one pure function for preview, till and sale.

Rules R1–R13. `price` is all that a till needs; `find_conflict` is asked when a rule is saved.
"""

from playpark.pricing.conflicts import Conflict, find_conflict
from playpark.pricing.context import Context
from playpark.pricing.pipeline import applied_rules, price

__all__ = ["Conflict", "Context", "applied_rules", "find_conflict", "price"]
