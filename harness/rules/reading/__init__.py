"""Reads a history into columns of integers: pushes, operations, groups of times."""
