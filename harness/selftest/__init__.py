"""Proves the harness on the embedded service: each planted fault must be found, the correct service never blamed."""
