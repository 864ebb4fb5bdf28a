"""Brings a cluster up for the scenarios, and down again: `python -m e2e.harness up|down|status|run`."""
