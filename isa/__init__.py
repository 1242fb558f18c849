"""The machine as a contract: instructions, chips, numerics, program files, and the checker that judges them."""
