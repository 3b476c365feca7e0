"""Durable reconciler for kpt packages; each member is a room of the checkout, linked here under one name."""
