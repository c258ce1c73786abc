"""Whole clusters in virtual time, from a seed, and the judges of what they did.

`members` runs the production members on simulated machines, `cores` consensus alone; `campaign`,
`par`, `crashes`, `poison` and `mutants` run many of them.  `conformance` has what must hold of
whatever a member stands on, real or simulated.
"""
