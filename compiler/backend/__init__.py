"""From a schedule to a program for the chip."""
