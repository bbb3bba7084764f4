"""Other ways to bring a model's tokens to a reader, written as their users write them."""
