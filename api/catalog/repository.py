"""Queries on the catalogue."""

from api.catalog.models import Package, StoredSnapshot, Tax, Zone
from api.platform.repository import Repository


class PackageRepository(Repository[Package]):
    model = Package


class ZoneRepository(Repository[Zone]):
    model = Zone


class TaxRepository(Repository[Tax]):
    model = Tax


class SnapshotRepository(Repository[StoredSnapshot]):
    model = StoredSnapshot
