"""What the demo shows: a drawn mine, sensor series, a code book in the project's own words."""
