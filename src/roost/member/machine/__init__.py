"""The machine under a member: its clock, chance, disk, threads, children and links."""
