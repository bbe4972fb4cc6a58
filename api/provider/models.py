"""What provider stores."""

from api.platform.documents import Model

DOCUMENTS: tuple[type[Model], ...] = ()
