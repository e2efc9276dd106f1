"""What an autonomous teacher may do next."""
