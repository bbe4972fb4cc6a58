"""The demo: a whole day of the park on one machine, with files for the hardware."""
