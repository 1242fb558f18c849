"""Graph operations to trips of data over the chip."""
