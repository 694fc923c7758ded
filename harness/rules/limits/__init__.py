"""What the rules on limits are built on: what counts against a limit, and what explains each refusal."""
