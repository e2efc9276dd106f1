"""What operators type and what they see."""
