"""A fleet: attempts placed on the nodes of a Ray cluster."""
