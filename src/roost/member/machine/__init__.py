"""What a member finds on its machine: clock, chance, disk, threads, children and links."""
