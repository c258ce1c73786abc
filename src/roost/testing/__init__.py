"""Clusters of real processes for tests, and the campaigns that are too long for a suite."""
