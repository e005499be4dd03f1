"""The network side of a site, decided from plain data: addresses, names, interfaces, switch ports. Pure."""
