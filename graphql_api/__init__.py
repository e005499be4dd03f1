"""What operators and programs see of the site, over GraphQL."""
