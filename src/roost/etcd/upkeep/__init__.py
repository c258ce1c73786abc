"""What a member does by itself: leases that run out, compactions, alarms."""
