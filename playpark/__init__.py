"""The language that the PlayPark programs share: money, time, ids, errors, rules, contracts."""

__version__ = "0.1.0"
