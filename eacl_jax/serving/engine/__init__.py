"""What answers the requests, without sockets, routes or bodies."""
