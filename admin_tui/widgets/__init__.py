"""What the screen is made of."""
