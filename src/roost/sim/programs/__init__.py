"""A program's own operations in the simulator: `roost.sim.check`, and what it is made of."""
