"""Temporal's real server on PostgreSQL, where the stack does not run the development server."""
