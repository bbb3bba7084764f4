"""What a token, a reader and a start cost, measured beside other ways to do the same."""
