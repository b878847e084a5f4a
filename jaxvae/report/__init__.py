"""Figures and report.html of a trained run."""
