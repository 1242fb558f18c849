"""Pure algorithms over trips and buffers: placement, dependences, the list scheduler. No IR in here."""
