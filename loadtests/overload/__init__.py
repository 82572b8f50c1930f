"""More than a service can do: what the machine itself leaves of its capacity, and what the service makes of that."""
