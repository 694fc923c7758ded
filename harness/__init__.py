"""Tests of a step-up push endpoint: what is sent, what came back, and whether the contract was kept."""

__version__ = "0.1.0"
