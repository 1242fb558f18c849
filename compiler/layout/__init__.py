"""How images lie on lanes: packings, the products that convolutions become on them, and the choice among them. No IR here."""
