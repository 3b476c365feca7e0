"""Alarms and a dashboard of the metrics that processes export; `deploy/monitoring` holds them."""
