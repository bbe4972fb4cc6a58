"""Queries on the audit trail."""

from api.audit.models import AuditHead, AuditRow
from api.platform.repository import Repository


class AuditRepository(Repository[AuditRow]):
    model = AuditRow


class AuditHeadRepository(Repository[AuditHead]):
    model = AuditHead
