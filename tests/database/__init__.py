"""Tests of the face for programs."""
