"""Fakes of what cannot be had in a test: token services of clouds, on loopback, with their real protocols."""
