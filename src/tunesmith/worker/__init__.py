"""What runs beside and around the user's code: the supervisor (agent) and the worker. Light imports only."""
