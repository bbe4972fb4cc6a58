"""What secrets stores."""

from api.platform.documents import Model
from api.platform.keyring import StoredSecret

DOCUMENTS: tuple[type[Model], ...] = (StoredSecret,)
