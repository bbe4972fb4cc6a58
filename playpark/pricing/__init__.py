"""From a cart to a priced cart with its trace: one pure function for preview, till and sale.

Rules R1–R13. `price` is all that callers need.
"""

from playpark.pricing.pipeline import price

__all__ = ["price"]
