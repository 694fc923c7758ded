"""What the rules on refs and ids are built on: repeated calls, refusals, shared ids, counted pushes."""
