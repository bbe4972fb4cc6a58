"""The parts of the gate's screen: status bar, panel, figures, last scans, entry line, preview."""
