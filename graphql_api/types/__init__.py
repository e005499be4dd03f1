"""The schema's types. A field without a resolver is read from the snapshot object's attribute of the same name."""
