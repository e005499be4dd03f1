"""The provisioning state machine (PSM). Start at ``table.py``."""
