"""What rules over single exchanges are built on: kinds of answers, and which rule a wrong one breaks."""
