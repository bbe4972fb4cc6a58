"""Who acts, as the API shows them (R40)."""

from api.platform.scope import Actor
from playpark.contracts.employees import EmployeeView, Permission


def view(actor: Actor) -> EmployeeView:
    """An employee as the API shows them."""
    return EmployeeView(
        employee_id=actor.employee_id,
        name=actor.name,
        roles=list(actor.roles),
        permissions=[Permission(name) for name in sorted(actor.permissions)],
    )
