"""Simulators of the chip: the reference machine, the fast machine, and the device that holds their memory."""
