"""Brings a cluster up for the stories, and down again: `python -m e2e.harness up|down|status|run`."""
