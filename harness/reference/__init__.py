"""The embedded service: a correct implementation of the endpoint to test against, and faults to plant in it.

It shares nothing with the rules that judge it, not even the document: both would make the same mistakes.
"""
