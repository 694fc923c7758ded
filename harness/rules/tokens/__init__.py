"""What the rules on a token's state are built on: its life, and what explains each refusal."""
