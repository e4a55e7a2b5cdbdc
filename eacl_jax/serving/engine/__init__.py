"""What answers the requests, without a word of HTTP."""
