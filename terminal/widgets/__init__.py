"""The parts of the register screen."""
