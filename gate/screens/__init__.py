"""The gate's screens: scanning, and the choice of the zone."""
