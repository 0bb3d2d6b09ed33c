"""Plans and declared facts as JSON documents: plain mappings in published key order, nothing printed."""
